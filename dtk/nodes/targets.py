"""From a target of dtk.yaml to the provider that makes its nodes."""

from __future__ import annotations

from dtk.errors import InvalidError
from dtk.model.target import Target
from dtk.nodes.hosts import HostsProvider
from dtk.nodes.local.provider import LocalProvider
from dtk.nodes.provider import Provider
from dtk.state.workspace import Workspace


def provider_for(target: Target, workspace: Workspace) -> Provider:
    """Return the provider of a target's machines.

    Raises:
        InvalidError: this version of dtk has no provider for the target's type.
    """
    if target.type == "local":
        return LocalProvider(workspace, shared_address=bool(target.settings.get("shared_address", False)))
    if target.type == "hosts":
        return HostsProvider(workspace, target)
    raise InvalidError(
        f"target '{target.name}' is of type '{target.type}', which this version of dtk does not have yet",
        hint="use a target of type local or hosts",
    )

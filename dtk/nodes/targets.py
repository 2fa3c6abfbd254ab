"""From a target of dtk.yaml to the provider that makes its nodes."""

from __future__ import annotations

from dtk.model.target import Target
from dtk.nodes.ec2.provider import Ec2Provider
from dtk.nodes.hosts import HostsProvider
from dtk.nodes.local.provider import LocalProvider
from dtk.nodes.provider import Provider
from dtk.state.workspace import Workspace


def provider_for(target: Target, workspace: Workspace) -> Provider:
    """Return the provider of a target's machines."""
    if target.type == "local":
        return LocalProvider(workspace, shared_address=bool(target.settings.get("shared_address", False)))
    if target.type == "hosts":
        return HostsProvider(workspace, target)
    return Ec2Provider(workspace, target)

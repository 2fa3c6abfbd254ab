"""``dtk plan --refresh``: asks the target how the nodes are, and notes it in the state."""

from __future__ import annotations

from dtk.apply.drift import Drift, look
from dtk.cli.planning import read_inputs
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.targets import provider_for
from dtk.state.lock import acquire
from dtk.state.store import StateStore
from dtk.state.workspace import Workspace


def refresh(workspace: Workspace, service: str) -> list[Drift]:
    """Note in a service's state how its nodes are now; return what differs from what it knew.

    Raises:
        LockedError: a task of the service runs.
    """
    folder = workspace.service_folder(service)
    with acquire(folder, f"dtk plan {service} --refresh", 0):
        inputs = read_inputs(workspace, service)
        if not inputs.state.nodes:
            return []
        provider = provider_for(inputs.target, workspace)
        found, drift = look(provider, ServiceIdentity(service, inputs.state.lineage, folder), inputs.state)
        if drift:
            StateStore(workspace.state_file(service), inputs.state).change(lambda _: found)
    return drift

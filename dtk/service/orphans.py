"""Machines that carry this workspace's mark and that no state knows: found, adopted, ended."""

from __future__ import annotations

from dataclasses import dataclass

from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError
from dtk.nodes.provider import MarkedMachine, Provider, ServiceIdentity
from dtk.nodes.targets import provider_for
from dtk.state import changes
from dtk.state.identity import workspace_id
from dtk.state.lock import acquire
from dtk.state.model import NodeState, State
from dtk.state.store import StateStore, load_state
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Orphan:
    """A machine that no state knows, and the target it was found in."""

    target: str
    provider: Provider
    machine: MarkedMachine


def find_orphans(workspace: Workspace) -> list[Orphan]:
    """Return the machines of all targets that are marked as this workspace's and that no state knows."""
    targets = load_workspace(workspace.file, workspace.root).targets.values()
    states = [load_state(workspace.state_file(name)) for name in workspace.service_names()]
    known = {node.id for state in states if state for node in state.nodes.values()}
    found: dict[str, Orphan] = {}
    for target in targets:
        provider = provider_for(target, workspace)
        for machine in provider.find_orphans(workspace_id(workspace), known):
            found.setdefault(machine.id, Orphan(target.name, provider, machine))
    return list(found.values())


def adopt_orphan(workspace: Workspace, orphan: Orphan) -> None:
    """Write a machine to the state of the service that it is marked for.

    Raises:
        DtkError: the workspace has no such service, or the node has another machine.
    """
    machine = orphan.machine
    name, node = machine.service, machine.node
    if name not in workspace.service_names():
        raise DtkError(f"{machine.id} is of service '{name}', which is not in this workspace")
    folder = workspace.service_folder(name)
    with acquire(folder, "dtk list-nodes --orphans --adopt", None):
        # A service whose state was lost gets the one back that its machines remember.
        state = load_state(workspace.state_file(name)) or State(name, machine.lineage)
        if node in state.nodes and state.nodes[node].id:
            raise DtkError(
                f"{node} of '{name}' is machine {state.nodes[node].id} already; {machine.id} is one too many",
                hint="dtk list-nodes --orphans --terminate",
            )
        record = orphan.provider.adopt(ServiceIdentity(name, state.lineage, folder), machine)
        known = NodeState(record.id, record.status, vars(record.connection), dict(record.attributes))
        StateStore(workspace.state_file(name), state).change(lambda state: changes.with_node(state, node, known))


def terminate_orphans(found: list[Orphan]) -> None:
    """End machines for good.

    Raises:
        DtkError: the first reason why one could not be ended.
    """
    for target in dict.fromkeys(orphan.target for orphan in found):
        there = [orphan for orphan in found if orphan.target == target]
        failed = there[0].provider.end_orphans([orphan.machine for orphan in there])
        for error in failed.values():
            raise error

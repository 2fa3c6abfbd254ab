"""Machines with this workspace's mark that no state knows: find, adopt and terminate them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.mark_errors import UnaskedError
from dtk.nodes.provider import MarkedMachine, Provider
from dtk.nodes.targets import provider_for
from dtk.refresh.ask_machines import asking
from dtk.service.holding import holding
from dtk.service.identity import write_identity
from dtk.service.shared_store import read_all_states
from dtk.service.unknown_machines import ServiceOnTarget, take_in
from dtk.state.identity import earlier_workspace_id
from dtk.state.store import load_state
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Orphan:
    """A machine that no state knows, and the target in which it was found."""

    target: Target
    provider: Provider
    machine: MarkedMachine


def find_orphans(workspace: Workspace, warn: Callable[[str], None]) -> list[Orphan]:
    """Return the machines of all targets that have this workspace's mark and that no state knows.

    Args:
        workspace: the workspace.
        warn: called with a message about machines that could not be queried.
    """
    read_all_states(workspace)
    configuration = load_workspace(workspace.file, workspace.root)
    own = configuration.id or earlier_workspace_id(workspace)
    states = [load_state(workspace.state_file(name)) for name in workspace.names_with_state()]
    known = {node.id for state in states if state for node in state.nodes.values()}
    found: dict[str, Orphan] = {}
    ask = asking(workspace.shared_known_hosts)
    for target in configuration.targets.values() if own else ():
        provider = provider_for(target, workspace)
        try:
            machines = provider.find_orphans(own, known, ask)
        except UnaskedError as error:
            warn(error.message)
            machines = error.found
        for machine in machines:
            found.setdefault(machine.id, Orphan(target, provider, machine))
    return list(found.values())


def adopt_orphan(workspace: Workspace, orphan: Orphan) -> None:
    """Add a machine to the state of the service that its mark names.

    Raises:
        DtkError: the workspace has no such service, or the node already has another machine.
    """
    machine = orphan.machine
    name, node = machine.service, machine.node
    if name not in workspace.service_names():
        raise DtkError(
            f"{machine.id} belongs to service '{name}', which is not in this workspace",
            hint=f"restore its service.yaml from git, or destroy the service: dtk delete-and-destroy {name}",
        )
    with holding(workspace, name, "dtk list-nodes --orphans --adopt", None) as held:
        found = held.found
        write_identity(workspace, name, found)
        state = load_state(workspace.state_file(name))
        if not take_in(ServiceOnTarget(workspace, name, found, orphan.target), [machine]):
            known = state.nodes[node].id if state and node in state.nodes else "another one"
            raise DtkError(
                f"{node} of '{name}' already has machine {known}; {machine.id} is a duplicate",
                hint="dtk list-nodes --orphans --terminate",
            )


def terminate_orphans(found: list[Orphan]) -> None:
    """Terminate machines permanently.

    Raises:
        DtkError: a machine could not be terminated; the first error is raised.
    """
    for target in dict.fromkeys(orphan.target.name for orphan in found):
        there = [orphan for orphan in found if orphan.target.name == target]
        failed = there[0].provider.end_orphans([orphan.machine for orphan in there])
        for error in failed.values():
            raise error

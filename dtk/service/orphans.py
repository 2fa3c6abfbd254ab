"""Machines with dtk's mark that no state knows: find, adopt and terminate them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.mark_errors import UnaskedError
from dtk.nodes.provider import MarkedMachine, MarkSearch, Provider
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


def find_orphans(workspace: Workspace, search: MarkSearch | None, warn: Callable[[str], None]) -> list[Orphan]:
    """Return the machines of all targets that have dtk's mark and that no state of this workspace knows.

    Args:
        workspace: the workspace.
        search: what their marks must contain; None for this workspace's id.
        warn: called with a message about machines that could not be queried.
    """
    read_all_states(workspace)
    configuration = load_workspace(workspace.file, workspace.root)
    search = search or MarkSearch(own_id(workspace))
    states = [load_state(workspace.state_file(name)) for name in workspace.names_with_state()]
    known = {node.id for state in states if state for node in state.nodes.values()}
    found: dict[str, Orphan] = {}
    ask = asking(workspace.shared_known_hosts)
    for target in configuration.targets.values() if search != MarkSearch() else ():
        provider = provider_for(target, workspace)
        try:
            machines = provider.find_orphans(search, known, ask)
        except UnaskedError as error:
            warn(error.message)
            machines = error.found
        for machine in machines:
            found.setdefault(machine.id, Orphan(target, provider, machine))
    return list(found.values())


def own_id(workspace: Workspace) -> str:
    """Return the workspace's id, "" if it has none yet."""
    return load_workspace(workspace.file, workspace.root).id or earlier_workspace_id(workspace)


def adopt_orphans(workspace: Workspace, orphans: Sequence[Orphan]) -> Iterator[Orphan]:
    """Add machines to the states of the services that their marks name; yield those that were added.

    The machines of a service are added together: all of them are asked at once, and those that do not answer cost
    their time only once.

    Raises:
        DtkError: the workspace has no such service, or a node already has another machine.
    """
    services: dict[tuple[str, str], list[Orphan]] = {}
    for orphan in orphans:
        services.setdefault((orphan.machine.service, orphan.target.name), []).append(orphan)
    for (name, _), found in services.items():
        taken = _adopted(workspace, name, found)
        yield from (orphan for orphan in found if orphan.machine in taken)
        for orphan in found:
            if orphan.machine not in taken:
                raise _duplicate(workspace, orphan.machine)


def _adopted(workspace: Workspace, name: str, orphans: Sequence[Orphan]) -> Sequence[MarkedMachine]:
    if name not in workspace.service_names():
        raise DtkError(
            f"{orphans[0].machine.id} belongs to service '{name}', which is not in this workspace",
            hint=f"restore its service.yaml from git, or destroy the service: dtk delete-and-destroy {name}",
        )
    with holding(workspace, name, "dtk list-nodes --orphans --adopt", None) as held:
        write_identity(workspace, name, held.found)
        place = ServiceOnTarget(workspace, name, held.found, orphans[0].target)
        return take_in(place, [orphan.machine for orphan in orphans])


def _duplicate(workspace: Workspace, machine: MarkedMachine) -> DtkError:
    state = load_state(workspace.state_file(machine.service))
    known = state.nodes[machine.node].id if state and machine.node in state.nodes else "another one"
    return DtkError(
        f"{machine.node} of '{machine.service}' already has machine {known}; {machine.id} is a duplicate",
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

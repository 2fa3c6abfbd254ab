"""Makes a service's state anew: what its tasks have on record, on the machines that its target has now."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dtk.apply.beginning import steps_in_doubt
from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError, UsageError
from dtk.events.fold import fold
from dtk.events.log_reader import Reading, read_log
from dtk.model.plan import Plan
from dtk.nodes.provider import MarkedMachine
from dtk.nodes.targets import provider_for
from dtk.plan.document import from_text
from dtk.refresh.ask_machines import asking
from dtk.service.identity import FoundIdentity
from dtk.service.machine_inputs import last_plan
from dtk.service.planning import target_of
from dtk.service.replayed_tasks import Machines, replayed, without_certainty
from dtk.service.unknown_machines import ServiceOnTarget, nodes_of
from dtk.state import changes
from dtk.state.files import version_of
from dtk.state.identity import Identity, new_id
from dtk.state.model import State
from dtk.state.store import KEPT_VERSIONS, journal_of, new_state
from dtk.state.workspace import Workspace

_SERIAL = re.compile(rb'"serial"\s*:\s*(\d{1,15})\b')
_FAR_AHEAD = 1_000_000
"""A state that follows one whose serial can't be read gets the next multiple: more than any task adds to a serial."""


@dataclass(frozen=True)
class Rebuilt:
    """A state that was made anew, and of what.

    ``tasks`` are those that it was made of, ``notes`` what of them could not be read. ``gone`` are the nodes that the
    tasks made and that no machine is found for.
    """

    state: State
    tasks: tuple[int, ...]
    notes: tuple[str, ...]
    gone: tuple[str, ...]


def known_identity(workspace: Workspace, service: str) -> FoundIdentity:
    """Return the ids of a service without asking its state: from the files, else from its last task.

    Raises:
        InvalidError: dtk.yaml or service.yaml is invalid.
        UsageError: neither says the service's id.
    """
    own = load_service(workspace.service_file(service), workspace.root).id
    plan = last_plan(workspace, service)
    id_ = own or (plan.lineage if plan else "")
    if not id_:
        raise UsageError(
            f"'{service}' has no id and no task on record: its state cannot be rebuilt",
            hint=f"dtk plan {service}",
        )
    configuration = load_workspace(workspace.file, workspace.root)
    return FoundIdentity(Identity(configuration.id or (plan.workspace if plan else ""), id_))


def rebuilt(workspace: Workspace, service: str, found: FoundIdentity) -> Rebuilt:
    """Return a service's state as its tasks' plans and logs and its target tell it. Nothing is written here.

    What a task did counts where its log says that it succeeded; the nodes are those whose machines exist now. A
    target that tags its machines tags those that it finds as this state's.

    Raises:
        DtkError: the target can't be asked; a machine can't be taken in.
    """
    lineage = found.identity.service
    target = target_of(
        load_workspace(workspace.file, workspace.root), load_service(workspace.service_file(service), workspace.root)
    )
    marked = _machines(ServiceOnTarget(workspace, service, found, target))
    origin = next((machine.origin for machine in marked.values() if machine.origin), new_id())
    place = ServiceOnTarget(workspace, service, found, target, origin)
    machines = nodes_of(place, list(marked.values()))
    told = _told(workspace, replace(new_state(service, lineage), origin=origin), machines)
    state = told.state
    gone = [node for node in state.nodes if node not in machines]
    replaced = [node for node in machines if node in state.nodes and state.nodes[node].id != machines[node].id]
    for node in (*gone, *replaced):
        state = changes.without_node(state, node)
    last = max(workspace.task_numbers(service), default=0)
    state = replace(state, nodes=machines, serial=serial_after(workspace, service), last_task=last)
    return replace(told, state=state, gone=tuple(gone))


def serial_after(workspace: Workspace, service: str) -> int:
    """Return a serial above all that the service's states can have had, so that no saved plan fits by accident."""
    file = workspace.state_file(service)
    files = [file, journal_of(file), *(version_of(file, number) for number in range(1, KEPT_VERSIONS + 1))]
    files += [workspace.task_folder(service, number) / "plan.json" for number in workspace.task_numbers(service)]
    found = [int(serial) for one in files if one.is_file() for serial in _SERIAL.findall(one.read_bytes())]
    return (max(found, default=0) // _FAR_AHEAD + 1) * _FAR_AHEAD


def _machines(place: ServiceOnTarget) -> dict[str, MarkedMachine]:
    """Return the service's machines by node; of two for one node the one that this folder has on record."""
    provider = provider_for(place.target, place.workspace)
    found = [
        *provider.find_service(place.identity, asking(place.workspace.known_hosts(place.name))),
        *provider.find_own(place.identity),
    ]
    return {machine.node: machine for machine in found if machine.node}


def _told(workspace: Workspace, state: State, machines: Machines) -> Rebuilt:
    """Return what the service's tasks left, one after the other."""
    tasks, notes, in_doubt = [], [], dict[str, list[str]]()
    for number in workspace.task_numbers(state.service):
        plan = _plan(workspace, state.service, number)
        if plan is None:
            # What it changed is not known: all is converged again, which changes nothing where all is in place.
            notes.append(f"the plan of task {number} can't be read: what is applied is not known from before it")
            state = replace(state, applied={}, unfinished=None)
            continue
        if plan.lineage not in ("", state.lineage):
            continue  # of another service that was called the same
        log = workspace.event_log(state.service, number)
        reading = read_log(log) if log.exists() else Reading((), ())
        # As a task does, at its beginning: the doubt of the last one stays with its log until the next task.
        state = changes.with_in_doubt(state, in_doubt)
        state = replayed(state, plan, number, reading.events, machines)
        in_doubt = steps_in_doubt(fold(reading.events, writer_alive=False), number)
        damage = [note for note in reading.notes if "torn" not in note]
        if damage:
            notes.append(f"the log of task {number} is damaged: {damage[0]}; what it may have changed is not applied")
            state = without_certainty(state, plan)
        tasks.append(number)
    return Rebuilt(state, tuple(tasks), tuple(notes), ())


def _plan(workspace: Workspace, service: str, number: int) -> Plan | None:
    file = workspace.task_folder(service, number) / "plan.json"
    try:
        return from_text(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError, DtkError):
        return None

"""Rebuilds the state of a service from the records of its tasks and from the machines that its target has now."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dtk.apply.beginning import steps_in_doubt
from dtk.disk.files import version_of
from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError, UsageError
from dtk.events.fold import fold
from dtk.events.log_reader import Reading, read_log
from dtk.model.plan import Plan
from dtk.model.target import Target
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
from dtk.state.identity import Identity, new_id
from dtk.state.model import State
from dtk.state.store import KEPT_VERSIONS, journal_of, new_state
from dtk.state.workspace import Workspace

_SERIAL = re.compile(rb'"serial"\s*:\s*(\d{1,15})\b')
_FAR_AHEAD = 1_000_000
"""If an earlier serial can't be read, the new serial is the next multiple of this: more than any task adds."""


@dataclass(frozen=True)
class Rebuilt:
    """A rebuilt state and its sources.

    ``tasks`` are the tasks it was rebuilt from; ``notes`` say what could not be read. ``gone`` are the nodes that the
    tasks created and for which no machine was found.
    """

    state: State
    tasks: tuple[int, ...]
    notes: tuple[str, ...]
    gone: tuple[str, ...]


def known_identity(workspace: Workspace, service: str) -> FoundIdentity:
    """Return the ids of a service without reading its state: from the files, or else from its last task.

    Raises:
        InvalidError: dtk.yaml or service.yaml is invalid.
        UsageError: neither of them has the service's id.
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


def target_of_service(workspace: Workspace, service: str) -> Target:
    """Return a service's target, from its files alone.

    Raises:
        DtkError: a file is missing or invalid.
    """
    configuration = load_workspace(workspace.file, workspace.root)
    return target_of(configuration, load_service(workspace.service_file(service), workspace.root))


def rebuilt(workspace: Workspace, service: str, found: FoundIdentity) -> Rebuilt:
    """Return a service's state rebuilt from the plans and logs of its tasks and from its target; write no state.

    An action counts as done if its log says that it succeeded; the nodes are those whose machines exist now. A target
    that tags machines tags the ones that it finds as belonging to this state.

    Raises:
        DtkError: the target can't be queried, or a machine can't be adopted.
    """
    lineage, target = found.identity.service, target_of_service(workspace, service)
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
    """Return a serial above all that the service's states can have had, so that no saved plan matches by accident."""
    file = workspace.state_file(service)
    files = [file, journal_of(file), *(version_of(file, number) for number in range(1, KEPT_VERSIONS + 1))]
    files += [workspace.task_folder(service, number) / "plan.json" for number in workspace.task_numbers(service)]
    found = [int(serial) for one in files if one.is_file() for serial in _SERIAL.findall(one.read_bytes())]
    return (max(found, default=0) // _FAR_AHEAD + 1) * _FAR_AHEAD


def _machines(place: ServiceOnTarget) -> dict[str, MarkedMachine]:
    """Return the service's machines by node; if a node has two, the one on record in this folder."""
    provider = provider_for(place.target, place.workspace)
    found = [
        *provider.find_service(place.identity, asking(place.workspace.known_hosts(place.name))),
        *provider.find_own(place.identity),
    ]
    return {machine.node: machine for machine in found if machine.node}


def _told(workspace: Workspace, state: State, machines: Machines) -> Rebuilt:
    """Replay the tasks of a service in order and return the result."""
    tasks, notes, in_doubt = [], [], dict[str, list[str]]()
    for number in workspace.task_numbers(state.service):
        plan = _plan(workspace, state.service, number)
        if plan is None:
            # The task's changes are unknown: everything is converged again, which changes only what is incorrect.
            notes.append(f"the plan of task {number} can't be read: what was applied before it is unknown")
            state = replace(state, applied={}, unfinished=None)
            continue
        if plan.lineage not in ("", state.lineage):
            continue  # belongs to another service with the same name
        log = workspace.event_log(state.service, number)
        reading = read_log(log) if log.exists() else Reading((), ())
        # As at the beginning of a task: doubt about the previous task's last steps applies from the next task on.
        state = changes.with_in_doubt(state, in_doubt)
        state = replayed(state, plan, number, reading.events, machines)
        in_doubt = steps_in_doubt(fold(reading.events, writer_alive=False), number)
        damage = [note for note in reading.notes if "torn" not in note]
        if damage:
            notes.append(
                f"the log of task {number} is damaged: {damage[0]}; what it may have changed counts as not applied"
            )
            state = without_certainty(state, plan)
        tasks.append(number)
    return Rebuilt(state, tuple(tasks), tuple(notes), ())


def _plan(workspace: Workspace, service: str, number: int) -> Plan | None:
    file = workspace.task_folder(service, number) / "plan.json"
    try:
        return from_text(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError, DtkError):
        return None

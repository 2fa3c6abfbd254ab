"""Existing machines of a service that its local state does not know: find, refuse or adopt them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dtk.apply.worker_ahead import WorkerAhead
from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.mark_errors import UnaskedError
from dtk.nodes.provider import MarkedMachine, ServiceIdentity
from dtk.nodes.records import HOST_KEY, state_of
from dtk.nodes.targets import provider_for
from dtk.refresh.ask_machines import asking
from dtk.service.identity import FoundIdentity
from dtk.state import changes
from dtk.state.model import NodeState, State
from dtk.state.store import load_state, new_state
from dtk.state.workspace import Workspace
from dtk.state.writer import StateStore


class UnknownMachinesError(DtkError):
    """A service has machines that its local state does not know; going on would create them twice."""

    exit_code = 5


@dataclass(frozen=True)
class ServiceOnTarget:
    """A service, its ids, and the target of its nodes."""

    workspace: Workspace
    name: str
    found: FoundIdentity
    target: Target
    origin: str = ""
    """The origin id of the service's first state; "" if there may be none yet."""

    @property
    def identity(self) -> ServiceIdentity:
        """The identity of the service's machines; a service that has just got its id is searched by name only."""
        ids = self.found.identity
        workspace = "" if self.found.is_new else ids.workspace
        folder = self.workspace.service_folder(self.name)
        return ServiceIdentity(self.name, ids.service, folder, workspace=workspace, origin=self.origin)


def find_unknown(service: ServiceOnTarget, ahead: WorkerAhead | None = None) -> Sequence[MarkedMachine]:
    """Return the machines of a service that its local state does not know; ``ahead`` is as in ``refuse_unknown``.

    Raises:
        DtkError: the target can't be queried.
    """
    provider = provider_for(service.target, service.workspace)
    state = load_state(service.workspace.state_file(service.name))
    known = {node.id for node in state.nodes.values()} if state else set()
    ask = asking(service.workspace.known_hosts(service.name), ahead)
    try:
        found = provider.find_service(service.identity, ask)
    except UnaskedError as error:
        unknown = [one for one in error.found if one.id not in known]
        raise UnaskedError(error.message, unknown, hint=error.hint) from None
    return [one for one in found if one.id not in known]


def refuse_unknown(
    service: ServiceOnTarget,
    state: State,
    warn: Callable[[str], None] | None = None,
    ahead: WorkerAhead | None = None,
) -> None:
    """Refuse to begin a first state of a service here if machines of it exist.

    Args:
        service: the service.
        state: its local state; if it knows or has requested a machine, it is not the first one, and nothing is queried.
        warn: called with a message about machines that could not be queried; without it, that is an error.
        ahead: a worker that waits for its task: it asks the machines, and keeps the connections.

    Raises:
        UnknownMachinesError: machines exist.
        DtkError: the target can't be queried.
    """
    if any(node.id or node.attributes for node in state.nodes.values()):
        return
    try:
        machines = _made_elsewhere(find_unknown(service, ahead), state)
    except UnaskedError as error:
        if found := _made_elsewhere(error.found, state):
            raise unknown_error(service, found) from None
        if warn is None:
            raise
        warn(error.message)
        return
    if machines:
        raise unknown_error(service, machines)


def _made_elsewhere(machines: Sequence[MarkedMachine], state: State) -> list[MarkedMachine]:
    """Return the machines without those that a task of this same state created in another clone before it died.

    The next task finds those machines again with its own calls, so nothing is created twice.
    """
    return [one for one in machines if not state.origin or one.origin != state.origin]


def unknown_error(service: ServiceOnTarget, machines: Sequence[MarkedMachine]) -> UnknownMachinesError:
    """Return the error that says what exists, how old it is, which dtk created it, and what to do."""
    first = min(machines, key=lambda one: one.since or "~")
    many = f"{len(machines)} machine{'s' if len(machines) > 1 else ''}"
    made = f"made {_age(first.since)} by dtk {first.version or '?'}" if first.since else f"dtk {first.version or '?'}"
    message = (
        f"{many} of service '{service.name}' {'exist' if len(machines) > 1 else 'exists'} that this folder"
        f" does not know ({made}, id {first.lineage})"
    )
    if service.found.is_new:
        file = service.workspace.service_file(service.name).relative_to(service.workspace.root)
        new = service.found.identity.service
        hint = (
            f"{file} has no id. If the machines are of this service, add the line 'id: {first.lineage}' to it;"
            f" if they are of another service, add 'id: {new}'. Commit the change"
        )
        return UnknownMachinesError(message, hint=hint)
    return UnknownMachinesError(message, hint="adopt them: dtk list-nodes --orphans --adopt")


def unknown_machines(service: ServiceOnTarget, state: State) -> Sequence[MarkedMachine]:
    """Return the machines of a service that its local state does not know and that certainly belong to it.

    Args:
        service: the service.
        state: its local state; if it has no nodes, machines that can't be queried are an error.

    Raises:
        UnknownMachinesError: the service had no id, so the owner of the machines is uncertain.
        DtkError: the target can't be queried.
    """
    try:
        machines = find_unknown(service)
    except UnaskedError as error:
        if not state.nodes:
            raise
        machines = error.found
    if machines and service.found.is_new:
        raise unknown_error(service, machines)
    return machines


def take_in_unknown(service: ServiceOnTarget, state: State) -> list[MarkedMachine]:
    """Adopt all machines of a service that its local state does not know; the caller holds its lock.

    Raises:
        UnknownMachinesError, DtkError: as ``unknown_machines``.
    """
    return take_in(service, unknown_machines(service, state))


def found_volumes(service: ServiceOnTarget, state: State) -> tuple[str, ...]:
    """Return the volumes that outlive a service's machines, as its target has them now.

    Raises:
        DtkError: the target can't be queried.
    """
    identity = service.identity
    identity = replace(identity, lineage=state.lineage or identity.lineage)
    return tuple(provider_for(service.target, service.workspace).find_volumes(identity))


def _age(since: str) -> str:
    try:
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    except (ValueError, TypeError):
        return since
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{max(seconds, 0)} s ago"


def take_in(service: ServiceOnTarget, machines: Sequence[MarkedMachine]) -> list[MarkedMachine]:
    """Add machines to the state of their service; the caller holds its lock.

    Returns:
        The adopted machines. If there are two for one node, only the first is adopted.

    Raises:
        DtkError: a machine can't be adopted.
    """
    file = service.workspace.state_file(service.name)
    state = load_state(file)
    if state is None or (not state.nodes and state.lineage != service.identity.lineage):
        # The state was lost: begin a new one with the lineage that its machines carry.
        begun = new_state(service.name, service.identity.lineage)
        state = replace(begun, last_task=state.last_task if state else 0)
    store, place = StateStore(file, state), replace(service, origin=state.origin)
    taken: dict[str, MarkedMachine] = {}
    for machine in machines:
        is_known = machine.node in store.state.nodes and store.state.nodes[machine.node].id
        if machine.node and not is_known:
            taken.setdefault(machine.node, machine)
    for node, known in nodes_of(place, list(taken.values())).items():
        store.change(lambda now, node=node, known=known: changes.with_node(now, node, known))  # type: ignore[misc]
    return list(taken.values())


def nodes_of(service: ServiceOnTarget, machines: Sequence[MarkedMachine]) -> dict[str, NodeState]:
    """Return machines as node states with the facts that they report, and mark them as the service's.

    A machine that can't be reached comes without facts.

    Raises:
        DtkError: a machine can't be adopted.
    """
    from dtk.apply.nodes.facts import SCRIPT, read_facts  # noqa: PLC0415 - only if there are machines
    from dtk.refresh.known_hosts import pinned_key  # noqa: PLC0415 - as above

    known_hosts = service.workspace.known_hosts(service.name)
    provider, identity = provider_for(service.target, service.workspace), service.identity
    identity = replace(identity, workspace=service.found.identity.workspace)
    records = {machine.node: provider.adopt(identity, machine) for machine in machines}
    ways = {node: provider.connection_to(record) for node, record in records.items() if record.status == "running"}
    answers = asking(known_hosts)(ways, SCRIPT.decode())
    found = {}
    for node, record in records.items():
        answer = answers.get(node)
        attributes = read_facts(answer, record.attributes) if isinstance(answer, str) else record.attributes
        # The address of a machine that is off may belong to another one by now.
        key = (pinned_key(known_hosts, ways[node]) if node in ways else "") or record.connection.host_key
        found[node] = state_of(replace(record, attributes={**attributes, **({HOST_KEY: key} if key else {})}))
    return found

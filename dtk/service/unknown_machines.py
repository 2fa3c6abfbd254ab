"""Machines of a service that exist and that its state here does not know: found, refused, taken in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dtk.apply.nodes.facts import SCRIPT, read_facts
from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.provider import MarkedMachine, ServiceIdentity, UnaskedError
from dtk.nodes.records import HOST_KEY, state_of
from dtk.nodes.targets import provider_for
from dtk.refresh.ask_machines import asking
from dtk.service.identity import FoundIdentity
from dtk.state import changes
from dtk.state.model import NodeState, State
from dtk.state.store import StateStore, load_state, new_state
from dtk.state.workspace import Workspace


class UnknownMachinesError(DtkError):
    """Machines of a service exist that its state here does not know; doing the work anyway would make them twice."""

    exit_code = 5


@dataclass(frozen=True)
class ServiceOnTarget:
    """A service, its ids and where its nodes come from."""

    workspace: Workspace
    name: str
    found: FoundIdentity
    target: Target
    origin: str = ""
    """Which first state of the service it is; "" where there may be none yet."""

    @property
    def identity(self) -> ServiceIdentity:
        """Whose its machines are. A service that has just got its id is looked for by its name alone."""
        ids = self.found.identity
        workspace = "" if self.found.is_new else ids.workspace
        folder = self.workspace.service_folder(self.name)
        return ServiceIdentity(self.name, ids.service, folder, workspace=workspace, origin=self.origin)


def find_unknown(service: ServiceOnTarget) -> Sequence[MarkedMachine]:
    """Return the machines of a service that its state here does not know.

    Raises:
        DtkError: the target can't be asked.
    """
    provider = provider_for(service.target, service.workspace)
    state = load_state(service.workspace.state_file(service.name))
    known = {node.id for node in state.nodes.values()} if state else set()
    ask = asking(service.workspace.known_hosts(service.name))
    try:
        found = provider.find_service(service.identity, ask)
    except UnaskedError as error:
        unknown = [one for one in error.found if one.id not in known]
        raise UnaskedError(error.message, unknown, hint=error.hint) from None
    return [one for one in found if one.id not in known]


def refuse_unknown(service: ServiceOnTarget, state: State, warn: Callable[[str], None] | None = None) -> None:
    """Refuse to work on a service whose first state would be made here while machines of it exist.

    Args:
        place: the service.
        state: its state here; one that knows a machine, or has asked for one, is not the first, and nobody is asked.
        warn: told of machines that could not be asked; without it they are an error, too.

    Raises:
        UnknownMachinesError: machines exist.
        DtkError: the target can't be asked.
    """
    if any(node.id or node.attributes for node in state.nodes.values()):
        return
    try:
        machines = _made_elsewhere(find_unknown(service), state)
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
    """Leave out what a task of this very state made, in another clone, and died before it could say so.

    The next task's own calls find those machines again: nothing is made twice.
    """
    return [one for one in machines if not state.origin or one.origin != state.origin]


def unknown_error(service: ServiceOnTarget, machines: Sequence[MarkedMachine]) -> UnknownMachinesError:
    """Return the error that says what exists, since when, by which dtk, and how to go on."""
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
            f"{file} has no id: if they are this service's, add the line 'id: {first.lineage}' to it;"
            f" if they are another's, add 'id: {new}'; commit it"
        )
        return UnknownMachinesError(message, hint=hint)
    return UnknownMachinesError(message, hint="take them in: dtk list-nodes --orphans --adopt")


def unknown_machines(service: ServiceOnTarget, state: State) -> Sequence[MarkedMachine]:
    """Return the machines of a service that its state here does not know, and that are certain to be its own.

    Args:
        service: the service.
        state: its state here; where it knows no node, machines that can't be asked are an error.

    Raises:
        UnknownMachinesError: the service had no id, so whose the machines are is not certain.
        DtkError: the target can't be asked.
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
    """Put all machines of a service that its state here does not know into it; its lock is held.

    Raises:
        UnknownMachinesError, DtkError: as ``unknown_machines``.
    """
    return take_in(service, unknown_machines(service, state))


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
    """Put machines into the state of their service; its lock is held.

    Returns:
        Those that were taken in. Of two for one node the first is.

    Raises:
        DtkError: one can't be taken in.
    """
    file = service.workspace.state_file(service.name)
    state = load_state(file)
    if state is None or (not state.nodes and state.lineage != service.identity.lineage):
        # A service whose state was lost gets the one back that its machines remember.
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
    """Return machines as the state keeps them, with what they say of themselves, and mark them as the service's.

    One that can't be asked comes without what it would have said.

    Raises:
        DtkError: one can't be taken in.
    """
    from dtk.refresh.known_hosts import pinned_key  # noqa: PLC0415 - only where there are machines

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
        # The address of one that is off may be another's.
        key = (pinned_key(known_hosts, ways[node]) if node in ways else "") or record.connection.host_key
        found[node] = state_of(replace(record, attributes={**attributes, **({HOST_KEY: key} if key else {})}))
    return found

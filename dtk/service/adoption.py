"""``dtk adopt``: gives a node a machine that exists and that dtk did not create.

    examine the machine ─► log in, read its facts ─► pin its host key ─► mark it ─► add it to the state

Nothing is changed before the login has succeeded. A command that dies after that is repeated: a machine that is marked
for the node is found again.
"""

from __future__ import annotations

from dataclasses import replace

from dtk.apply.nodes.facts import SCRIPT, check_programs, read_facts
from dtk.errors import DtkError, UsageError
from dtk.model.suggestion import did_you_mean
from dtk.nodes.provider import NodeRecord
from dtk.nodes.records import HOST_KEY, record_of, state_of
from dtk.nodes.targets import provider_for
from dtk.plan.resolve.service import topology_of
from dtk.refresh.ask_machines import Contact, contact
from dtk.refresh.known_hosts import pin_key
from dtk.service.identity import FoundIdentity, write_identity
from dtk.service.planning import Inputs
from dtk.service.unknown_machines import ServiceOnTarget, find_unknown, unknown_error
from dtk.state import changes
from dtk.state.model import State
from dtk.state.store import new_state
from dtk.state.writer import StateStore

_REACHABLE = "the login must work with the user and the key of the target, and the machine must allow SSH from here"


def adopt_machine(inputs: Inputs, found: FoundIdentity, node: str, id_: str) -> bool:
    """Adopt a machine as a node of a service; the caller holds its lock.

    Args:
        inputs: the service.
        found: its ids.
        node: a node without a machine.
        id_: the machine's id in the service's target.

    Returns:
        False if it has been adopted already, and nothing was changed.

    Raises:
        UsageError: there is no such node.
        DtkError: the machine can't be adopted, or can't be logged in to; nothing was changed.
    """
    name, workspace, state = inputs.service.name, inputs.workspace, inputs.state
    if _is_met(inputs, node, id_):
        return False
    is_first = not (state.serial or state.nodes or state.origin)
    begun = replace(new_state(name, found.identity.service), last_task=state.last_task) if is_first else state
    place = ServiceOnTarget(workspace, name, found, inputs.target, begun.origin)
    provider = provider_for(inputs.target, workspace)
    provider.check(place.identity, [record_of(other, known) for other, known in state.nodes.items()])
    identity = replace(place.identity, lineage=begun.lineage, workspace=found.identity.workspace)
    record = provider.find_machine(identity, node, id_)
    _refuse_others(place, state, id_)
    met = _log_in(inputs, record)
    connection, known_hosts = provider.connection_to(record), workspace.known_hosts(name)
    pin_key(known_hosts, connection, met.host_key)
    # As before a task: a machine must not carry an id that no committed file will ever have.
    write_identity(workspace, name, found)
    record = provider.mark_machine(identity, record)
    attributes = {**read_facts(met.printed, record.attributes), HOST_KEY: met.host_key}
    known = state_of(replace(record, attributes=attributes))
    StateStore(workspace.state_file(name), begun).change(lambda now: changes.with_node(now, node, known))
    return True


def _is_met(inputs: Inputs, node: str, id_: str) -> bool:
    """Return whether a node has this machine, and all of its facts, already.

    Raises:
        UsageError: there is no such node.
        DtkError: it has another machine, or another node has this one.
    """
    name, state, nodes = inputs.service.name, inputs.state, topology_of(inputs.request()).nodes
    if node not in nodes:
        hint = did_you_mean(node, nodes, f"its nodes: {', '.join(nodes)}" if nodes else "")
        raise UsageError(f"there is no node '{node}' in service '{name}'", hint=hint)
    other = next((one for one, known in state.nodes.items() if known.id == id_ and one != node), "")
    if other:
        raise DtkError(f"{id_} is {other} of '{name}' already", hint=f"dtk list-nodes {name}")
    known = state.nodes.get(node)
    if known is None or not (known.id or known.attributes):
        return False
    if known.id != id_:
        what = f"has machine {known.id} already" if known.id else "is being created"
        raise DtkError(f"{node} of '{name}' {what}", hint=f"adopt a machine for another node: dtk list-nodes {name}")
    return known.is_met


def _refuse_others(place: ServiceOnTarget, state: State, id_: str) -> None:
    """Refuse to begin a first state if other machines of the service exist.

    Raises:
        UnknownMachinesError: there are such machines.
        DtkError: the target can't be queried.
    """
    if any(node.id or node.attributes for node in state.nodes.values()):
        return
    others = [one for one in find_unknown(place) if one.id != id_]
    if others:
        raise unknown_error(place, others)


def _log_in(inputs: Inputs, record: NodeRecord) -> Contact:
    """Return what the machine says of itself.

    Raises:
        DtkError: it can't be reached, or can't be a node.
    """
    connection = provider_for(inputs.target, inputs.workspace).connection_to(record)
    try:
        met = contact(inputs.workspace.known_hosts(inputs.service.name), connection, SCRIPT.decode())
    except DtkError as error:
        hint = f"{error.hint or _REACHABLE}; then repeat this command"
        raise DtkError(f"{record.id} was not adopted: {error.message}", hint=hint) from None
    if "home=" not in met.printed:
        hint = f"try it: ssh {connection.user}@{connection.hostname}"
        raise DtkError(f"{record.id} was not adopted: it has no working shell for {connection.user}", hint=hint)
    check_programs(met.printed, record.id)
    return met

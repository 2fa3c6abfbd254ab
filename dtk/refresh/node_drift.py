"""Changes to nodes outside of dtk: the state compared with what their target reports now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from dtk.model.json_data import Json
from dtk.model.membership import REGISTERED, address_attribute, registered_groups
from dtk.model.target import RESERVED
from dtk.nodes.provider import Connection, NodeRecord, Provider, ServiceIdentity
from dtk.nodes.records import record_of, state_of
from dtk.plan.diff.value_difference import value_differences
from dtk.state import changes
from dtk.state.model import NodeState, State

COMPARED = ("host_address", "public_address", "instance_type", "security_groups", "tags")


@dataclass(frozen=True)
class Drift:
    """A difference of a node, or of the shared access to all nodes; ``what`` describes it in words."""

    node: str
    what: str


def look(provider: Provider, identity: ServiceIdentity, state: State) -> tuple[State, list[Drift]]:
    """Ask a target for the current condition of a service's nodes.

    Returns:
        The actual state and its differences from the known state. A node that is gone is in it only if it has groups,
        names or reserved addresses.

    Raises:
        DtkError: the target can't report it.
    """
    provider.check(identity, [record_of(name, node) for name, node in state.nodes.items()])
    records = [record_of(name, node) for name, node in state.nodes.items() if node.id]
    now = [_merged(record, state.nodes[record.node]) for record in provider.describe(identity, records)]
    found = [Drift(record.node, what) for record in now for what in _differences(record, state.nodes[record.node])]
    return _refreshed(state, now), found


def _merged(record: NodeRecord, known: NodeState) -> NodeRecord:
    """Add the facts of first contact, which the target does not know."""
    return replace(record, attributes={**known.attributes, **record.attributes})


def _differences(record: NodeRecord, known: NodeState) -> Iterator[str]:
    if record.status == "terminated":
        yield f"{record.id} is gone"
        return
    if record.status != known.status:
        yield f"{record.id} is {record.status} (was {known.status})"
    if record.status != "running":
        return
    for name in COMPARED:
        before, after = known.attributes.get(name), record.attributes.get(name)
        if before != after:
            yield from value_differences(name, before or None, cast(Json, after or None))


def _refreshed(state: State, records: Sequence[NodeRecord]) -> State:
    for record in records:
        known = state.nodes[record.node]
        if record.status == "terminated":
            state = _without_machine(changes.without_node(state, record.node), record.node, known)
            continue
        state = changes.with_node(state, record.node, state_of(record))
        groups = registered_groups(known.attributes)
        addresses = set(map(address_attribute, groups))
        if any(known.attributes.get(name) != record.attributes.get(name) for name in addresses):
            # Its groups and names lead to an address that it no longer has: the next plan registers it again.
            state = changes.with_membership(state, record.node, groups, in_service=False)
    return state


def _without_machine(state: State, node: str, known: NodeState) -> State:
    """Return the state with what remains of a machine that is gone: its groups and names, and what is reserved for it.

    The address is that of its targets in groups of addresses.
    """
    left = {name: known.attributes[name] for name in (REGISTERED, RESERVED) if known.attributes.get(name)}
    if not left:
        return state
    address = {name: known.attributes[name] for name in ("private_address",) if name in known.attributes}
    return changes.with_node(state, node, NodeState("", "pending", asdict(Connection("")), {**address, **left}))

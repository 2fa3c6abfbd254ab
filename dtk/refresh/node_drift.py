"""Changes to nodes outside of dtk: the state compared with what their target reports now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from dtk.model.json_data import Json
from dtk.nodes.provider import NodeRecord, Provider, ServiceIdentity
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
        The actual state, without nodes that are gone, and its differences from the known state.

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
        if record.status == "terminated":
            state = changes.without_node(state, record.node)
        else:
            state = changes.with_node(state, record.node, state_of(record))
    return state

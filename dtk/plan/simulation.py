"""Simulates a plan: the state if every step succeeded. No node is touched."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import count

from dtk.model import types
from dtk.model.json_data import Json, JsonObject
from dtk.model.names import CREATE, DELETE
from dtk.model.plan import ENDING_STEPS, Plan, Step
from dtk.model.planned_action import PlannedAction
from dtk.model.value import as_applied
from dtk.state.changes import with_applied, with_attributes, with_node, without_applied, without_node
from dtk.state.model import Applied, NodeState, State

_FIRST = IPv4Address("10.0.0.0")
_EXAMPLES: dict[str, Json] = {"string": "77", "integer": 7, "port": 7070, "boolean": True, "hash": {"k": "v"}}


def applied(plan: Plan, state: State, addresses: dict[str, str] | None = None) -> State:
    """Return the state after the plan; nodes not in ``addresses`` get 10.0.0.1 … in order of creation."""
    state = replace(state, lineage=state.lineage or "made-once")
    for leaf in plan.leaves():
        state = after_step(leaf, state, addresses or {})
    return replace(state, serial=state.serial + 1, unfinished=None)


def after_step(leaf: Step, state: State, addresses: dict[str, str]) -> State:
    """Return the state after one step of a plan, with node addresses as in ``applied``."""
    if leaf.type in ("create_node", "power_on_node"):
        used = {str(node.attributes["host_address"]) for node in state.nodes.values()}
        free = next(address for number in count(1) if (address := str(_FIRST + number)) not in used)
        attributes: JsonObject = {
            "host_address": addresses.get(leaf.node, free),
            "availability_zone": "",
            "port_offset": 0,
            "home": f"/srv/{leaf.node}",
        }
        return with_node(state, leaf.node, NodeState(f"i-{leaf.node}", "running", {}, attributes))
    if leaf.type in ENDING_STEPS:
        return without_node(state, leaf.node)
    for action in leaf.actions:
        state = _converged(action, state)
    return state


def _converged(action: PlannedAction, state: State) -> State:
    def lookup(path: str) -> Json:
        node, _, name = path.partition("/")
        return state.attributes[path] if path in state.attributes else state.nodes[node].attributes.get(name)

    if action.action == DELETE:
        return without_applied(state, action.node, action.component)
    state = with_attributes(state, {output.attribute: _made(output.type) for output in action.outputs})
    if action.action != CREATE:
        return state
    attributes = {name: as_applied(value, lookup) for name, value in action.attributes.items()}
    return with_applied(
        state, action.node, action.component, Applied(action.module, action.action_digest, attributes, 1, action.hidden)
    )


def _made(type_: str) -> Json:
    return types.coerce(type_, _EXAMPLES.get(type_, ["made"] if type_.startswith("array") else "made"))

"""Reconstructs the state that a task left, from its plan and log; what the log does not confirm counts as not done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dtk.apply.beginning import ON_NODES, with_task_begun
from dtk.apply.items.action_values import lookup_in
from dtk.apply.nodes.firewall import planned_ports, with_open_ports
from dtk.apply.reporting.failure import ActionError
from dtk.events.event import Event
from dtk.model.json_data import texts_in
from dtk.model.names import CREATE, DELETE
from dtk.model.plan import Plan, Step
from dtk.model.planned_action import PlannedAction
from dtk.model.value import SECRET_SHOWN, as_applied
from dtk.state import changes
from dtk.state.model import Applied, NodeState, State

Machines = Mapping[str, NodeState]
"""The existing machines by node: an old log does not have everything that a state records about a machine."""


def replayed(state: State, plan: Plan, number: int, events: Iterable[Event], machines: Machines) -> State:
    """Return the state after a task.

    Args:
        state: the state before the task.
        plan: the plan of the task.
        number: the number of the task.
        events: the event log of the task.
        machines: the machines that exist now.

    Returns:
        The state. Components that the task may have left half done, or whose values are not in the log (hidden ones),
        are not marked as applied: the next task converges them again.
    """
    leaves = {leaf.number: leaf for leaf in plan.leaves()}
    state = with_task_begun(plan, number, state)
    for event in events:
        leaf = leaves.get(str(event.get("step", "")))
        match event["type"]:
            case "stage.started" if plan.firewall:
                state = with_open_ports(state, planned_ports(plan))
            case "node.changed":
                state = _with_machine(state, event, machines)
            case "attribute.set":
                state = _with_attribute(state, event)
            case "step.started" if leaf:
                state = _begun(state, leaf, number)
            case "step.finished" if leaf:
                state = _ended(state, leaf, number, event)
            case "task.finished" if event.get("status") == "succeeded" and plan.workflow:
                state = changes.with_task_succeeded(state)
    return state


def without_certainty(state: State, plan: Plan) -> State:
    """Return the state without anything that a plan's task may have applied: the log of the task is damaged."""
    for leaf in plan.leaves():
        for action in leaf.actions:
            state = changes.without_applied(state, action.node, action.component)
    return state


def _with_machine(state: State, event: Event, machines: Machines) -> State:
    node, change = str(event.get("node", "")), event.get("change")
    if change in ("terminated", "released"):
        return changes.without_node(state, node)
    if change == "stopped":
        state = changes.without_in_doubt(state, node)
    if change not in ("created", "started", "stopped", "resized", "modified"):
        return state
    id_, address = str(event.get("id", "")), event.get("host_address")
    there = machines.get(node)
    known = dict(there.attributes) if there is not None and there.id == id_ else {}
    if address:
        known["host_address"] = address
    return changes.with_node(state, node, NodeState(id_, str(event.get("status", "")), {}, known))


def _with_attribute(state: State, event: Event) -> State:
    path, value = str(event.get("path", "")), event.get("value")
    if event.get("hidden") is not True and not any(SECRET_SHOWN in text for text in texts_in(value)):
        return changes.with_attributes(state, {path: value})
    # The old value is no longer true, and the new one is not recorded anywhere.
    return replace(state, attributes={name: known for name, known in state.attributes.items() if name != path})


def _begun(state: State, leaf: Step, number: int) -> State:
    for action in leaf.actions:
        state = changes.without_success(state, action.key)
        if action.action == CREATE:
            state = changes.with_attempt(state, action.node, action.component, number)
    return state


def _ended(state: State, leaf: Step, number: int, event: Event) -> State:
    for action in _done(leaf, event):
        state = _achieved(state, action, number)
    if event.get("status") == "succeeded" and leaf.type in ON_NODES:
        # A step first ends what earlier steps left running on its node.
        state = changes.without_in_doubt(state, leaf.node)
    return state


def _done(leaf: Step, event: Event) -> list[PlannedAction]:
    """Return the actions of a step that are known to have succeeded."""
    actions = list(leaf.actions)
    if event.get("status") == "failed":
        error = event.get("error")
        component = error.get("component") if isinstance(error, Mapping) else None
        failed = [index for index, action in enumerate(actions) if action.component == component]
        # If the step has several actions of the component, it is unknown which of them failed.
        actions = actions[: failed[0]] if len(failed) == 1 else []
    elif event.get("status") != "succeeded":
        actions = []
    # The log does not record the failure of an action that is allowed to fail.
    return [action for action in actions if action.on_failure != "continue"]


def _achieved(state: State, action: PlannedAction, number: int) -> State:
    if action.action == DELETE:
        state = changes.without_applied(state, action.node, action.component)
    elif action.action == CREATE:
        state = _converged(state, action, number)
    return changes.with_success(state, action.key, action.input_digest)


def _converged(state: State, action: PlannedAction, number: int) -> State:
    try:
        if any(output.hidden or output.attribute not in state.attributes for output in action.outputs):
            raise ActionError("an output's value is not in the log")
        attributes = {name: as_applied(value, lookup_in(state)) for name, value in action.attributes.items()}
    except ActionError:
        components = {n: one for n, one in state.applied.get(action.node, {}).items() if n != action.component}
        return replace(state, applied={**state.applied, action.node: components})
    applied = Applied(action.module, action.action_digest, attributes, number, action.hidden)
    return changes.with_applied(state, action.node, action.component, applied)

"""Pure changes of a state: each function takes a state and returns a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dtk.model.json_data import Json
from dtk.model.membership import IN_SERVICE, REGISTERED
from dtk.model.names import CREATE, RESET
from dtk.state.edited import with_items, without
from dtk.state.model import Applied, NodeState, State, Unfinished


def with_node(state: State, name: str, node: NodeState) -> State:
    """Return the state with a node added or replaced."""
    return replace(state, nodes=with_items(state.nodes, {name: node}))


def with_membership(state: State, name: str, groups: Sequence[str], *, in_service: bool) -> State:
    """Return the state with the load balancer groups of a node, and whether all of them found it healthy."""
    known = state.nodes.get(name)
    if known is None:
        return state
    own: dict[str, Json] = {REGISTERED: list(groups), IN_SERVICE: in_service} if groups else {}
    rest = {key: value for key, value in known.attributes.items() if key not in (REGISTERED, IN_SERVICE)}
    return with_node(state, name, replace(known, attributes={**rest, **own}))


def without_node(state: State, name: str) -> State:
    """Return the state without a node, including its components' values and everything applied to it."""
    return replace(
        state,
        unfinished=_without_machine(state.unfinished, name),
        nodes=without(state.nodes, name),
        attributes={path: value for path, value in state.attributes.items() if not path.startswith(f"{name}/")},
        applied=without(state.applied, name),
        in_doubt=without(state.in_doubt, name),
    )


def _without_machine(task: Unfinished | None, node: str) -> Unfinished | None:
    """Record that the running task has terminated the machine of a node that it replaces."""
    if task is None or not any(node in batch for batch in task.replaces):
        return task
    # All recorded successes, smoke tests above all, predate the loss of this machine: a resume must repeat them.
    return replace(task, replaced=tuple(dict.fromkeys((*task.replaced, node))), succeeded={})


def with_attributes(state: State, values: Mapping[str, Json]) -> State:
    """Return the state with dynamic values set, by path."""
    return replace(state, attributes=with_items(state.attributes, values))


def with_applied(state: State, node: str, component: str, applied: Applied) -> State:
    """Return the state with a component recorded as converged on a node."""
    components = {**state.applied.get(node, {}), component: applied}
    return replace(state, applied=with_items(state.applied, {node: components}))


def with_attempt(state: State, node: str, component: str, task: int) -> State:
    """Return the state after a task starts to converge a component again: what is applied is no longer certain."""
    applied = state.applied.get(node, {}).get(component)
    return with_applied(state, node, component, replace(applied, attempted=task)) if applied else state


def without_applied(state: State, node: str, component: str) -> State:
    """Return the state without a component on a node and without its values."""
    components = without(state.applied.get(node, {}), component)
    applied = with_items(state.applied, {node: components}) if components else without(state.applied, node)
    prefix = f"{node}/{component}/"
    attributes = {path: value for path, value in state.attributes.items() if not path.startswith(prefix)}
    return replace(state, applied=applied, attributes=attributes)


def with_task_begun(state: State, task: Unfinished, *, resumes: bool) -> State:
    """Return the state with a task running; the task is unfinished until it succeeds.

    Args:
        state: the state before.
        task: the task, with no successes yet.
        resumes: whether it continues the last task and therefore keeps the successes recorded there.
    """
    last = state.unfinished
    resumed = last.of(task.workflow) if resumes and last else None
    succeeded, replaced = (resumed.succeeded, resumed.replaced) if resumed else ({}, ())
    # A task run in between, to find or fix a failure, does not complete an unfinished converge. A reset does end it:
    # on recreated nodes nothing of a converge is done.
    before = last.of(CREATE) if last and task.workflow not in (CREATE, RESET) else None
    begun = replace(task, succeeded=dict(succeeded), replaced=replaced, before=before)
    return replace(state, last_task=task.task, unfinished=begun)


def with_success(state: State, key: str, input_digest: str) -> State:
    """Return the state with an action of the running task recorded as done; ``key`` is ``node component.action``."""
    if state.unfinished is None:
        return state
    succeeded = with_items(state.unfinished.succeeded, {key: input_digest})
    return replace(state, unfinished=replace(state.unfinished, succeeded=succeeded))


def without_success(state: State, key: str) -> State:
    """Return the state without an action's recorded success, because the action is about to run again."""
    if state.unfinished is None or key not in state.unfinished.succeeded:
        return state
    return replace(state, unfinished=replace(state.unfinished, succeeded=without(state.unfinished.succeeded, key)))


def with_task_succeeded(state: State) -> State:
    """Return the state after the task has succeeded, with nothing of it left to resume."""
    return replace(state, unfinished=state.unfinished.before if state.unfinished else None)


def with_in_doubt(state: State, steps: Mapping[str, Sequence[str]]) -> State:
    """Return the state with more steps in doubt (by node, ``TASK-STEP``): they may still run, but their worker died."""
    known = {
        node: (*state.in_doubt.get(node, ()), *more)
        for node, more in steps.items()
        # Nothing runs on a node that does not exist.
        if node in state.nodes
    }
    return replace(state, in_doubt=with_items(state.in_doubt, known))


def without_in_doubt(state: State, node: str) -> State:
    """Return the state with no earlier step in doubt on a node."""
    return replace(state, in_doubt=without(state.in_doubt, node))

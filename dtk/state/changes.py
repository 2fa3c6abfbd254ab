"""Pure changes of a state: each takes one and returns another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from dtk.model.json_data import Json
from dtk.model.names import CREATE, RESET
from dtk.state.model import Applied, NodeState, State, Unfinished

T = TypeVar("T")


def with_node(state: State, name: str, node: NodeState) -> State:
    """Return the state with a node added or replaced."""
    return replace(state, nodes={**state.nodes, name: node})


def without_node(state: State, name: str) -> State:
    """Return the state without a node, without the values of its components and without what was applied to it."""
    return replace(
        state,
        unfinished=_without_machine(state.unfinished, name),
        nodes=_without(state.nodes, name),
        attributes={path: value for path, value in state.attributes.items() if not path.startswith(f"{name}/")},
        applied=_without(state.applied, name),
        in_doubt=_without(state.in_doubt, name),
    )


def _without_machine(task: Unfinished | None, node: str) -> Unfinished | None:
    """Note that a node of the running task that is to get another machine has lost the one it had."""
    if task is None or not any(node in batch for batch in task.replaces):
        return task
    # What succeeded, smoke tests above all, was done before this machine went: a resume does it again.
    return replace(task, replaced=tuple(dict.fromkeys((*task.replaced, node))), succeeded={})


def with_attributes(state: State, values: Mapping[str, Json]) -> State:
    """Return the state with dynamic values set, by path."""
    return replace(state, attributes={**state.attributes, **values})


def with_applied(state: State, node: str, component: str, applied: Applied) -> State:
    """Return the state in which a component was converged on a node."""
    components = {**state.applied.get(node, {}), component: applied}
    return replace(state, applied={**state.applied, node: components})


def with_attempt(state: State, node: str, component: str, task: int) -> State:
    """Return the state in which a task begins to converge a component again: what was applied is no longer certain."""
    applied = state.applied.get(node, {}).get(component)
    return with_applied(state, node, component, replace(applied, attempted=task)) if applied else state


def without_applied(state: State, node: str, component: str) -> State:
    """Return the state in which a component is no longer on a node, and neither are its values."""
    components = _without(state.applied.get(node, {}), component)
    applied = {**_without(state.applied, node), **({node: components} if components else {})}
    prefix = f"{node}/{component}/"
    attributes = {path: value for path, value in state.attributes.items() if not path.startswith(prefix)}
    return replace(state, applied=applied, attributes=attributes)


def with_task_begun(state: State, task: Unfinished, *, resumes: bool) -> State:
    """Return the state in which a task runs: unfinished until it succeeds.

    Args:
        state: the state before.
        task: the task, of which nothing has succeeded yet.
        resumes: whether it continues the last one, so that what had succeeded there stays noted.
    """
    last = state.unfinished
    resumed = last.of(task.workflow) if resumes and last else None
    succeeded, replaced = (resumed.succeeded, resumed.replaced) if resumed else ({}, ())
    # What is run in between, to find or fix what failed, does not make a converge done.
    # On nodes that are made anew nothing of a converge is done.
    before = last.of(CREATE) if last and task.workflow not in (CREATE, RESET) else None
    begun = replace(task, succeeded=dict(succeeded), replaced=replaced, before=before)
    return replace(state, last_task=task.task, unfinished=begun)


def with_success(state: State, key: str, input_digest: str) -> State:
    """Return the state in which an action of the running task has succeeded; ``key`` is ``node component.action``."""
    if state.unfinished is None:
        return state
    succeeded = {**state.unfinished.succeeded, key: input_digest}
    return replace(state, unfinished=replace(state.unfinished, succeeded=succeeded))


def without_success(state: State, key: str) -> State:
    """Return the state in which an action does not count as done, because it is about to run again."""
    if state.unfinished is None or key not in state.unfinished.succeeded:
        return state
    return replace(state, unfinished=replace(state.unfinished, succeeded=_without(state.unfinished.succeeded, key)))


def with_task_succeeded(state: State) -> State:
    """Return the state in which nothing of the task is left to resume."""
    return replace(state, unfinished=state.unfinished.before if state.unfinished else None)


def with_in_doubt(state: State, steps: Mapping[str, Sequence[str]]) -> State:
    """Return the state in which more steps (by node, ``TASK-STEP``) may still run because their worker is gone."""
    known = {
        node: (*state.in_doubt.get(node, ()), *more)
        for node, more in steps.items()
        # On a node that does not exist nothing runs.
        if node in state.nodes
    }
    return replace(state, in_doubt={**state.in_doubt, **known})


def without_in_doubt(state: State, node: str) -> State:
    """Return the state in which no earlier step runs on a node any more."""
    return replace(state, in_doubt=_without(state.in_doubt, node))


def _without(mapping: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in mapping.items() if name != key}

"""Semantic checks of workflows: the items of their stages exist, and their parameters are set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dtk.dsl.check.scope import Scope
from dtk.errors import Problem
from dtk.model.module import Component, Subtask, Workflow, WorkflowItem
from dtk.model.names import CREATE, DELETE, ComponentName
from dtk.model.parameters import variables_in
from dtk.model.suggestion import nearest
from dtk.model.types import coerce

Standing = Mapping[str, tuple[ComponentName, ...]]
"""The components on each node of an assembly; assembly-wide ones under ``assembly_wide``."""


def workflow_problems(workflow: Workflow, standing: Standing | None, scope: Scope) -> Iterator[Problem]:
    """Yield the problems of what a workflow runs.

    Args:
        workflow: the workflow.
        standing: the components on each node; None if not all are known.
        scope: the components that it can name.
    """
    for subtask in stages_of(workflow.subtasks):
        for item in subtask.items:
            unknown = scope.unknown(item.component.type, item.location)
            if unknown:
                yield unknown
                continue
            yield from _action_problems(item, scope, subtask, workflow)
            if standing is not None:
                yield from _presence_problems(item, subtask, standing, workflow, scope)
        yield from _variable_problems(subtask, workflow)
    if standing is not None and workflow.name == CREATE:
        yield from _twice(workflow, standing)


def call_problems(workflow: Workflow, workflows: Mapping[str, Workflow], scope: Scope) -> Iterator[Problem]:
    """Yield a problem for each parameter in calls of other workflows that these do not use."""
    for subtask in stages_of(workflow.subtasks):
        known = _taken(workflows[subtask.calls], scope) if subtask.calls else None
        if known is None:
            continue
        for name in subtask.given:
            if name not in known:
                message = f"workflow '{subtask.calls}' has no parameter '{name}'"
                yield Problem(message, subtask.location, nearest=nearest(name, known))


def _taken(workflow: Workflow, scope: Scope) -> list[str] | None:
    """Return the parameters that a workflow, its terms and its actions use; None if not all are known."""
    found = dict.fromkeys(workflow.parameters)
    for subtask in stages_of(workflow.subtasks):
        texts = [subtask.name, *subtask.given.values()]
        for item in subtask.items:
            component = scope.component(item.component.type)
            if component is None:
                return None
            texts += [item.component.title, *item.parameters.values()]
            action = component.actions.get(item.action)
            found |= dict.fromkeys(action.parameters if action else ())
        found |= dict.fromkeys(name for text in texts for name in variables_in(text))
    return list(found)


def _twice(workflow: Workflow, standing: Standing) -> Iterator[Problem]:
    """Yield a problem for each component that the create workflow converges a second time on the same node."""
    first: dict[tuple[str, ComponentName], str] = {}
    for subtask in stages_of(workflow.subtasks):
        for item in subtask.items:
            if item.action != CREATE:
                continue
            standing_here = [(n, name) for n, names in standing.items() if subtask.node in ("", n) for name in names]
            meant = [key for key in standing_here if item.component.means(key[1])]
            again = [key for key in meant if key in first]
            if again:
                node, name = again[0]
                message = f"component '{name}' is converged twice on '{node}'"
                expected = f"only one stage: it is already in stage '{first[again[0]]}'"
                yield Problem(message, item.location, expected=expected)
            first |= {key: first.get(key, subtask.name) for key in meant}


def stages_of(subtasks: tuple[Subtask, ...]) -> Iterator[Subtask]:
    """Yield the stages of a workflow, including those in blocks, in the order written."""
    for subtask in subtasks:
        yield subtask
        yield from stages_of(subtask.subtasks)


def _variable_problems(subtask: Subtask, workflow: Workflow) -> Iterator[Problem]:
    """Yield problems of unset parameters in the create and delete workflows, because converging passes none."""
    if workflow.name not in (CREATE, DELETE):
        return
    texts = [(text, subtask.location) for text in (subtask.name, *subtask.given.values())]
    texts += [(str(item.component), item.location) for item in subtask.items]
    for text, location in texts:
        for name in variables_in(text):
            parameter = workflow.parameters.get(name)
            if parameter is None or parameter.required:
                yield Problem(f"workflow '{workflow.name}' runs without parameters, so nothing sets '{name}'", location)


def _action_problems(item: WorkflowItem, scope: Scope, subtask: Subtask, workflow: Workflow) -> Iterator[Problem]:
    component = scope.component(item.component.type)
    if component is None or not scope.attributes_known(component.type):
        return
    action = component.actions.get(item.action)
    if action is None:
        # A component without create is an attribute holder, which needs no action (docs/original.md 4.1).
        if item.action not in (CREATE, DELETE):
            message = f"component '{component.type}' has no action '{item.action}'"
            yield Problem(message, item.location, nearest=nearest(item.action, component.actions))
        elif item.parameters:
            yield Problem(f"action '{item.action}' takes no parameters", item.location)
        return
    yield from _parameter_problems(item, component, subtask, workflow)


def _parameter_problems(
    item: WorkflowItem, component: Component, subtask: Subtask, workflow: Workflow
) -> Iterator[Problem]:
    declared = component.actions[item.action].parameters
    called = f"{item.component}.{item.action}"
    for name, value in item.parameters.items():
        if name not in declared:
            yield Problem(f"'{called}' has no parameter '{name}'", item.location, nearest=nearest(name, declared))
        elif not variables_in(value):
            try:
                coerce(declared[name].type, value)
            except ValueError as error:
                message = f"parameter '{name}' of '{called}' is not of type {declared[name].type}: {error}"
                yield Problem(message, item.location)
    given = {*item.parameters, *subtask.given, *workflow.parameters}
    for name, parameter in declared.items():
        if parameter.required and name not in given and workflow.name in (CREATE, DELETE):
            yield Problem(f"Parameter '{name}' is not set", item.location, expected=f"{called} {name}=VALUE")


def _presence_problems(
    item: WorkflowItem, subtask: Subtask, standing: Standing, workflow: Workflow, scope: Scope
) -> Iterator[Problem]:
    component = scope.component(item.component.type)
    titled = component is not None and not component.singleton
    holders = [node for node, names in standing.items() if any(item.component.means(name) for name in names)]
    if variables_in(item.component.title) or (titled and not holders and workflow.name != CREATE):
        return  # users may add this component to their service; whether it exists is checked when the workflow runs
    if not holders:
        known = [str(name) for names in standing.values() for name in names]
        message = f"In stage '{subtask.name}', component '{item.component}' is on no node of the assembly"
        yield Problem(message, item.location, nearest=nearest(str(item.component), known))
    elif subtask.node in standing and subtask.node not in holders:
        message = f"In stage '{subtask.name}', component '{item.component}' is not on node '{subtask.node}'"
        expected = f"a component of '{subtask.node}', or node {' or '.join(holders)}"
        yield Problem(message, item.location, expected=expected)

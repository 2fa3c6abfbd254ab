"""Workflows that call others: each call is replaced by the stages of the called workflow.

The call's parameters are substituted in the called stages' names, titles and parameters. Other parameters come from
the caller, if it has them, else from the called workflow's defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dtk.dsl.build.workflow import as_text
from dtk.errors import Problem
from dtk.model.module import Subtask, Workflow, WorkflowItem
from dtk.model.parameters import replaced, typed_parameters, variables_in
from dtk.model.suggestion import nearest

_Texts = Mapping[str, str]


@dataclass(frozen=True)
class _CallSite:
    """Where a call is: in which workflow, on which path of calls, and whether inside a concurrent block."""

    workflows: Mapping[str, Workflow]
    complete: bool
    caller: Workflow
    path: tuple[str, ...]
    beside: bool


def with_calls(workflows: Mapping[str, Workflow], problems: list[Problem], *, complete: bool) -> dict[str, Workflow]:
    """Return an assembly's workflows with their calls resolved; invalid calls are left out.

    Args:
        workflows: the workflows by name, as written.
        problems: the list to append problems to: unknown or recursive calls, and wrong parameters.
        complete: whether these are all workflows; if not, unknown names are not reported.
    """
    found: list[Problem] = []
    made = {}
    for name, workflow in workflows.items():
        site = _CallSite(workflows, complete, workflow, (name,), workflow.order == "concurrent")
        made[name] = replace(workflow, subtasks=tuple(_resolved(workflow.subtasks, site, found)))
    problems += dict.fromkeys(found)
    return made


def _resolved(subtasks: tuple[Subtask, ...], site: _CallSite, problems: list[Problem]) -> Iterator[Subtask]:
    for subtask in subtasks:
        if not subtask.calls:
            within = replace(site, beside=site.beside or subtask.order == "concurrent")
            yield replace(subtask, subtasks=tuple(_resolved(subtask.subtasks, within, problems)))
            continue
        wrong = [*_call_problems(subtask, site)]
        problems += wrong
        if not wrong and subtask.calls in site.workflows:
            yield _called(subtask, site, problems)


def _called(call: Subtask, site: _CallSite, problems: list[Problem]) -> Subtask:
    """Return a block with the called workflow's stages."""
    called = site.workflows[call.calls]
    beside = site.beside or called.order == "concurrent"
    within = replace(site, caller=called, path=(*site.path, called.name), beside=beside)
    inner = tuple(_resolved(called.subtasks, within, problems))
    block = replace(call, subtasks=inner, order=called.order)
    return _filled(block, _values(call, called, site.caller))


def _call_problems(call: Subtask, site: _CallSite) -> Iterator[Problem]:
    called = site.workflows.get(call.calls)
    if called is None:
        if site.complete:
            near = nearest(call.calls, site.workflows)
            yield Problem(f"no workflow '{call.calls}' in the assembly", call.location, nearest=near)
    elif call.calls in site.path:
        circle = " -> ".join([*site.path[site.path.index(call.calls) :], call.calls])
        yield Problem(f"workflow calls form a cycle: {circle}", call.location)
    else:
        yield from _type_problems(call, called)
        for key in sorted(_windows(called.subtasks)) if site.beside else ():
            message = f"workflow '{called.name}' sets {key} in a stage, which is not allowed inside a concurrent block"
            yield Problem(message, call.location, expected=f"{key} on the concurrent block")


def _windows(subtasks: tuple[Subtask, ...]) -> set[str]:
    """Return the options that stages set to limit how many nodes run at once."""
    found: set[str] = set()
    for subtask in subtasks:
        options = {"max_in_flight": subtask.options.max_in_flight, "canary": subtask.options.canary}
        found |= {key for key, value in options.items() if value} | _windows(subtask.subtasks)
    return found


def _type_problems(call: Subtask, called: Workflow) -> Iterator[Problem]:
    literal = {name: text for name, text in call.given.items() if not variables_in(text)}
    declared = {name: parameter for name, parameter in called.parameters.items() if name in literal}
    try:
        typed_parameters(declared, literal)
    except ValueError as error:
        yield Problem(f"{error} (workflow '{called.name}')", call.location)


def _values(call: Subtask, called: Workflow, caller: Workflow) -> _Texts:
    """Return the call's parameters, and defaults for those that neither the call nor the caller sets."""
    missing = {name: p for name, p in called.parameters.items() if name not in (*call.given, *caller.parameters)}
    defaults = {name: as_text(p.default) for name, p in missing.items() if p.has_default and p.default is not None}
    return {**defaults, **call.given}


def _filled(subtask: Subtask, values: _Texts) -> Subtask:
    """Return a stage or a block with a call's parameters substituted in its texts."""
    given = {name: replaced(text, values) for name, text in subtask.given.items()}
    return replace(
        subtask,
        name=replaced(subtask.name, values),
        items=tuple(_filled_item(item, values) for item in subtask.items),
        subtasks=tuple(_filled(inner, values) for inner in subtask.subtasks),
        given=given if subtask.subtasks else {**values, **given},
    )


def _filled_item(item: WorkflowItem, values: _Texts) -> WorkflowItem:
    parameters = {name: replaced(text, values) for name, text in item.parameters.items()}
    title = replaced(item.component.title, values)
    return replace(item, component=replace(item.component, title=title), parameters=parameters)

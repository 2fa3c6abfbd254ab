"""Converts the original's workflows. Source: docs/original.md 4.6."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dtk.convert.reach import Reach
from dtk.convert.section import Notes, Section, as_entries, names, type_name
from dtk.dsl.build.workflow import ITEM_KEYS
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json
from dtk.model.names import CREATE

_ALL = ("All", "All_applicable", "All_Applicable", "AllApplicable")
_COMPONENT = re.compile(r"^[^.\s\[]+(\[[^\]]*\])?")


@dataclass(frozen=True)
class WorkflowContext:
    """The context of a workflow's conversion: the components that the assembly has, and those that could be added."""

    notes: Notes
    there: set[str]
    reach: Reach


def shared_workflows(files: Iterable[Cursor], context: WorkflowContext) -> dict[str, Json]:
    """Return the workflows for an assembly from its module's workflow files.

    Source: docs/original.md 4.6, end: each file names its workflow, and none is create.
    """
    made: dict[str, Any] = {}
    for cursor in files:
        name, body = cursor.text("name"), cursor.get("workflow")
        if not name or name == CREATE:
            context.notes.add(cursor, "the workflow has no name and is left out")
            continue
        _add(made, name, body if body is not None else cursor, context)
    return made


def workflows(section: Section, context: WorkflowContext) -> dict[str, Json]:
    """Return an assembly's workflows by action."""
    made: dict[str, Any] = {}
    single = section.take("workflow")
    if single is not None:
        _add(made, _action_of(single) or CREATE, single, context)
    for entry in _bodies(section.take("workflows", "actions")):
        _add(made, _action_of(entry) or entry.name, entry, context)
    return made


def _bodies(cursor: Cursor | None) -> list[Cursor]:
    return list(cursor.entries()) if cursor is not None else []


def _action_of(cursor: Cursor) -> str:
    return cursor.text("workflow_action") or cursor.text("assembly_action") if isinstance(cursor.value, dict) else ""


def _add(made: dict[str, object], name: str, cursor: Cursor, context: WorkflowContext) -> None:
    notes = context.notes
    if not isinstance(cursor.value, dict):
        notes.add(cursor, f"workflow '{name}' is empty and is left out")
        return
    section = Section(cursor, notes)
    for key in ("workflow_action", "assembly_action", "name", "dsl_version"):
        section.take(key)
    order = section.text("subtask_order")
    listed = section.take("subtasks")
    if listed is None:
        stage = _subtask(section, 1, context)
        subtasks = [stage] if stage else []
    else:
        subtasks = _subtasks(listed, context)
        section.close()
    if not subtasks:
        notes.add(cursor, f"workflow '{name}' has no stage that runs anything and is left out")
        return
    made[name] = {**({"subtask_order": order} if order else {}), "subtasks": subtasks}


def _subtasks(cursor: Cursor, context: WorkflowContext) -> list[dict[str, Json]]:
    made = []
    for number, entry in enumerate(cursor.entries(), start=1):
        if not isinstance(entry.value, dict):
            context.notes.add(entry, "this is not a stage and is left out")
            continue
        stage = _subtask(Section(entry, context.notes), number, context)
        if stage:
            made.append(stage)
    return made


def _subtask(section: Section, number: int, context: WorkflowContext) -> dict[str, Json]:
    made: dict[str, Any] = {"name": section.text("name") or f"stage {number}"}
    if section.cursor.get("subtasks"):
        return _nested(section, made, context)
    made |= _lists(section, context)
    blocks = [lists for entry in section.entries("exec_blocks") if (lists := _block(entry, context))]
    if blocks:
        made["exec_blocks"] = blocks
    for key in ("node", "node_group"):
        restriction = section.text(key)
        made |= {key: restriction} if restriction else {}
    everywhere = section.take("nodes")
    if everywhere is not None and everywhere.value not in _ALL:
        section.notes.add(everywhere, f"unknown value 'nodes: {everywhere.value}'; the stage runs wherever it can")
    made |= _attempts(section)
    _leave(section)
    section.close()
    if not any(made.get(key) for key in (*ITEM_KEYS, "exec_blocks")):
        section.notes.add(section.cursor, f"stage '{made['name']}' runs nothing and is left out")
        return {}
    return made


def _lists(section: Section, context: WorkflowContext) -> dict[str, Json]:
    return {key: _items(found, context) for key in ITEM_KEYS if (found := section.take(key)) is not None}


def _block(cursor: Cursor, context: WorkflowContext) -> dict[str, Any]:
    """Return a block of a stage without empty lists."""
    if not isinstance(cursor.value, dict):
        context.notes.add(cursor, "this is not a block of a stage and is left out")
        return {}
    section = Section(cursor, context.notes)
    lists = {key: items for key, items in _lists(section, context).items() if items}
    section.close()
    return lists


def _attempts(section: Section) -> dict[str, Json]:
    """Return the retries of a stage and the delay in seconds; the original also counted the first attempt."""
    made: dict[str, Any] = {}
    attempts, pause = section.take("attempts"), section.take("retry")
    if attempts is not None and str(attempts.value).isdigit() and int(str(attempts.value)) > 0:
        made["retries"] = int(str(attempts.value)) - 1
    elif attempts is not None:
        section.notes.add(attempts, f"attempts: '{attempts.value}' is not a number above 0 and is left out")
    if pause is not None and str(pause.value).isdigit():
        made["retry_delay"] = int(str(pause.value))
    elif pause is not None:
        section.notes.add(pause, f"retry: '{pause.value}' is not a number of seconds and is left out")
    return made


def _nested(section: Section, made: dict[str, Json], context: WorkflowContext) -> dict[str, Any]:
    order = section.text("subtask_order")
    inner = section.take("subtasks")
    subtasks = _subtasks(inner, context) if inner is not None else []
    _leave(section)
    section.close()
    return {**made, **({"subtask_order": order} if order else {}), "subtasks": subtasks} if subtasks else {}


def _leave(section: Section) -> None:
    section.leave("breakpoint", "breakpoints have no counterpart")
    section.take("flatten")  # all stages are flattened anyway
    section.leave("import", "'import' has no counterpart: to call a workflow, write workflow: NAME")


def _items(cursor: Cursor, context: WorkflowContext) -> list[Json]:
    made: list[Any] = []
    for entry in as_entries(cursor):
        for name, item_cursor, body in names(entry):
            item = _with_type(name)
            if _component_of(item) not in context.there and "{{" not in item:
                context.notes.add(item_cursor, f"'{item}' is on no node; the original skipped it silently")
                continue
            type_ = _component_of(item).partition("[")[0]
            if "{{" in type_ or context.reach.has(type_, item_cursor, context.notes):
                made.append(_with_parameters(item, body, context))
    return made


def _with_parameters(item: str, body: Cursor | None, context: WorkflowContext) -> Json:
    """Return an item with the parameters of its action: ``{ref: {parameters: {…}}}``."""
    if body is None or not isinstance(body.value, dict):
        return item
    section = Section(body, context.notes)
    values = section.value("parameters", "params")
    section.close()
    return {item: {"parameters": values}} if isinstance(values, dict) and values else item


def _with_type(item: str) -> str:
    component, dot, action = item.partition(".")
    return f"{type_name(component)}{dot}{action}"


def _component_of(item: str) -> str:
    match = _COMPONENT.match(item)
    return match[0] if match else item

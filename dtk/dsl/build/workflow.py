"""Builds an assembly's workflows from their document: blocks, stages and their items."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dtk.dsl.build.attribute import build_parameters
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.module import Order, StageOptions, Subtask, Workflow, WorkflowItem
from dtk.model.names import CREATE, DELETE, ComponentName
from dtk.model.suggestion import nearest
from dtk.model.written import as_written

ITEM_KEYS = ("components", "component", "ordered_components", "ordered_component", "actions", "action")
"""The keys under which a stage can list its items (docs/original.md 4.6)."""

OPTION_KEYS = ("max_in_flight", "canary", "run_once", "retries", "retry_delay", "timeout", "on_failure")
"""The keys of a stage's options."""

STAGE_KEYS = ("name", *ITEM_KEYS, "exec_blocks", "node", "node_group", "nodes", *OPTION_KEYS)
"""Keys that a workflow of a single stage has itself."""

_SORTED = ("components", "component")
_NODE_KEYS = ("node", "node_group", "nodes")
_CONTENTS = (*ITEM_KEYS, "exec_blocks", "workflow", "subtasks")
_ITEM = re.compile(
    r"^(?P<component>[^\s.\[\]]+(?:\[[^\[\]/]+\])?)(?:\.(?P<action>[a-zA-Z0-9_-]+))?(?:\s+(?P<parameters>\S.*))?$"
)
_PARAMETER = re.compile(r"^\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>[^=]*?)\s*$")


def build_workflow(cursor: Cursor, nodes: tuple[str, ...] | None, problems: list[Problem]) -> Workflow:
    """Build the workflow at a position in a document.

    Args:
        cursor: its definition; its key is the workflow's name.
        nodes: the names of the assembly's nodes; None if they are not known.
        problems: the list to append problems to.
    """
    # The default action of an item depends on the workflow's purpose.
    default = DELETE if cursor.name == DELETE else CREATE
    if "subtasks" in cursor.value:
        problems += _misplaced_keys(cursor)
        subtasks = tuple(_subtask(entry, nodes, default, problems) for entry in cursor.entries("subtasks"))
    else:
        stage = _stage(cursor, nodes, default, problems)
        subtasks = (replace(stage, name=stage.name or cursor.name, location=cursor.key_location),)
    parameters = build_parameters(cursor, problems)
    return Workflow(cursor.name, subtasks, cursor.key_location, _order(cursor), parameters)


def _misplaced_keys(cursor: Cursor) -> Iterator[Problem]:
    """Yield a problem for each stage key in a workflow of several stages."""
    for key in STAGE_KEYS:
        written = cursor.get(key)
        if written:
            yield written.key_problem(f"'{key}' is only valid in a stage, and this workflow has subtasks")
    if _order(cursor) == "concurrent":
        yield from _misplaced_windows(cursor)


def unknown_node(cursor: Cursor, name: str, nodes: tuple[str, ...] | None, *, at_key: bool = False) -> Problem | None:
    """Return a problem if a name is not a node's; None if it is one, or the nodes are not known."""
    if nodes is None or name in nodes:
        return None
    make_problem = cursor.key_problem if at_key else cursor.problem
    return make_problem(f"no node '{name}' in the assembly", near=nearest(name, nodes))


def parse_parameters(text: str) -> dict[str, str]:
    """Parse parameters written as ``a=b,c=d``, the original's form.

    Raises:
        ValueError: the text is not in this form.
    """
    found = [_PARAMETER.match(piece) for piece in text.split(",")]
    if not all(found):
        raise ValueError(f"The parameter string ({text}) is ill-formed")
    return {match["name"]: match["value"] for match in found if match}


def _order(cursor: Cursor) -> Order:
    return "concurrent" if cursor.text("subtask_order") == "concurrent" else "sequential"


def _subtask(cursor: Cursor, nodes: tuple[str, ...] | None, default: str, problems: list[Problem]) -> Subtask:
    stage = _stage(cursor, nodes, default, problems)
    problems += _call_problems(cursor)
    if called := cursor.text("workflow"):
        given = {value.name: as_text(value.value) for value in cursor.entries("parameters")}
        return replace(stage, calls=called, given=given)
    inner = tuple(_subtask(entry, nodes, default, problems) for entry in cursor.entries("subtasks"))
    return replace(stage, subtasks=inner, order=_order(cursor)) if inner else stage


def _stage(cursor: Cursor, nodes: tuple[str, ...] | None, default: str, problems: list[Problem]) -> Subtask:
    problems += _subtask_problems(cursor, nodes)
    stage = replace(_list(cursor, default, problems), options=_options(cursor))
    blocks = tuple(
        replace(_list(entry, default, problems), name=stage.name, location=stage.location, node=stage.node)
        for entry in cursor.entries("exec_blocks")
    )
    # Concurrent blocks on the same node run one after the other there, in one step.
    return replace(stage, subtasks=blocks, order="concurrent") if blocks else stage


def _list(cursor: Cursor, default: str, problems: list[Problem]) -> Subtask:
    """Build a stage, or a block of it, from its list of items."""
    return Subtask(
        name=cursor.text("name"),
        items=tuple(item for key in ITEM_KEYS for item in _items(cursor, key, default, problems)),
        location=cursor.location,
        node=cursor.text("node") or cursor.text("node_group"),
        ordered=not any(cursor.get(key) for key in _SORTED),
    )


def _call_problems(cursor: Cursor) -> Iterator[Problem]:
    given = cursor.get("parameters")
    if given and "workflow" not in cursor.value and not cursor.is_partial:
        message = "parameters belong to a call of a workflow or to an item of a stage"
        yield given.key_problem(message, expected="- module::component.action: {parameters: {name: value}}")


def _options(cursor: Cursor) -> StageOptions:
    given: dict[str, Any] = {key: as_written(found.value) for key in OPTION_KEYS if (found := cursor.get(key))}
    return StageOptions(**given)


def _subtask_problems(cursor: Cursor, nodes: tuple[str, ...] | None) -> Iterator[Problem]:
    contents = [key for key in _CONTENTS if key in cursor.value]
    if not contents and not cursor.is_partial:
        name = cursor.text("name") or cursor.name
        one_of = ", ".join(ITEM_KEYS)
        yield cursor.problem(f"In stage '{name}', missing a component or action field (one of: {one_of})")
    if len(contents) > 1:
        yield cursor.problem(f"{' and '.join(contents)} can't be used together", expected="one list of what runs")
    if "node" in cursor.value and "node_group" in cursor.value:
        yield cursor.problem("node and node_group can't be used together", expected="one of them")
    if "nodes" in cursor.value and ("node" in cursor.value or "node_group" in cursor.value):
        yield cursor.problem("nodes and a single node can't be used together", expected="one of them")
    yield from _block_problems(cursor)
    restriction = cursor.get("node", "node_group")
    if restriction and (unknown := unknown_node(restriction, str(restriction.value), nodes)):
        yield unknown


def _block_problems(cursor: Cursor) -> Iterator[Problem]:
    """Yield problems of keys that don't apply to a block or a call."""
    order = cursor.get("subtask_order")
    if order and "subtasks" not in cursor.value and not cursor.is_partial:
        yield order.key_problem("subtask_order is only valid in a block, which has subtasks")
    if "workflow" in cursor.value:
        yield from _misplaced(cursor, (*_NODE_KEYS, *OPTION_KEYS), ", not in a call of a workflow")
    elif "subtasks" in cursor.value:
        yield from _misplaced(cursor, _NODE_KEYS, ", not in a block of stages")
        if _order(cursor) == "sequential":
            yield from _misplaced(cursor, OPTION_KEYS, " or a concurrent block")
        else:
            yield from _misplaced_windows(cursor)


def _misplaced(cursor: Cursor, keys: tuple[str, ...], addition: str) -> Iterator[Problem]:
    for key in keys:
        found = cursor.get(key)
        if found:
            yield found.key_problem(f"'{key}' is only valid in a stage{addition}")


def _misplaced_windows(cursor: Cursor) -> Iterator[Problem]:
    """Yield problems of limits inside a concurrent block: its branches share the nodes, so the block sets limits."""
    for inner in cursor.entries("subtasks"):
        for key in ("max_in_flight", "canary"):
            option = inner.get(key)
            if option:
                yield option.key_problem(f"'{key}' must be set on the concurrent block, not inside it")
        yield from _misplaced_windows(inner)


def _items(cursor: Cursor, key: str, default: str, problems: list[Problem]) -> Iterator[WorkflowItem]:
    listed = cursor.get(key)
    if listed is None:
        return
    for entry in listed.entries() if isinstance(listed.value, list) else (listed,):
        yield from _item(entry, default, problems)


def _item(entry: Cursor, default: str, problems: list[Problem]) -> Iterator[WorkflowItem]:
    given = next(entry.entries(), None) if isinstance(entry.value, dict) else None
    text = given.name if given else str(entry.value)
    match = _ITEM.match(text)
    component = ComponentName.parse(match["component"]) if match else None
    if match is None or component is None:
        expected = "module::component, module::component[title] or module::component.action"
        problems.append(entry.problem(f"'{text}' is not something a stage can run", expected=expected))
        return
    try:
        inline = parse_parameters(match["parameters"]) if match["parameters"] else {}
    except ValueError as error:
        problems.append(entry.problem(str(error), expected="name=value,name=value"))
        return
    values = next(given.entries(), None) if given else None
    mapped = {value.name: as_text(value.value) for value in values.entries()} if values else {}
    yield WorkflowItem(component, match["action"] or default, entry.location, {**inline, **mapped})


def as_text(value: object) -> str:
    """Return a parameter's value as it would be on a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)

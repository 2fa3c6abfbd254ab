"""plan.json: the plan as a document, written the same way for the same plan, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from dtk.errors import InvalidError, StalePlanError
from dtk.model.json_data import parse_json
from dtk.model.plan import (
    FORMAT_VERSION,
    ComponentChange,
    Finding,
    FirewallRule,
    ModuleUse,
    NodeChange,
    Plan,
    PlannedAction,
    Stage,
    Step,
)

_EMPTY: tuple[Any, ...] = ("", None, (), [], {})
_ALWAYS = (
    *("service", "lineage", "serial", "workflow", "nodes", "components", "stages"),
    *("attributes", "items", "number", "name"),
)


def to_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON data; fields that say nothing are left out."""
    return {"format_version": FORMAT_VERSION, **_document(plan)}


def _document(value: Any) -> Any:
    if is_dataclass(value):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: _document(item) for name, item in pairs if name in _ALWAYS or item not in _EMPTY}
    if isinstance(value, Mapping):
        return {key: _document(item) for key, item in value.items()}
    return [_document(item) for item in value] if isinstance(value, (list, tuple)) else value


def to_text(plan: Plan) -> str:
    """Return plan.json as text. Keys keep their order: that of hosts in a target says which is taken first."""
    return json.dumps(to_document(plan), indent=2, ensure_ascii=False) + "\n"


def from_text(text: str, source: str) -> Plan:
    """Return the plan that a plan.json holds.

    Args:
        text: the file's content.
        source: its name, for messages.

    Raises:
        InvalidError: it is not a plan.
        StalePlanError: a newer dtk wrote it.
    """
    try:
        document: Any = parse_json(text)
    except ValueError as error:
        raise InvalidError(f"{source} is not a plan: {error}", hint="make one: dtk plan SERVICE --out FILE") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise StalePlanError(f"{source} was written by a newer dtk (plan format {version})", hint="update dtk")
    _check(document, source)
    return from_document(document)


def _check(document: Any, source: str) -> None:
    from dtk.dsl.yaml.schema import schema_problems  # noqa: PLC0415 - jsonschema is loaded only where a plan is read

    problems = schema_problems(document, "plan", source)
    if problems:
        raise InvalidError(f"{source} is not a plan", problems, hint="make one: dtk plan SERVICE --out FILE")


def from_document(document: Mapping[str, Any]) -> Plan:
    """Return the plan of a document that is schema-valid."""
    parts = {key: value for key, value in document.items() if key != "format_version"}
    parts["modules"] = tuple(ModuleUse(**{"version": "", "source": "", **m}) for m in parts.get("modules", ()))
    parts["nodes"] = tuple(NodeChange(**change) for change in parts["nodes"])
    parts["components"] = tuple(ComponentChange(**_tuples(change)) for change in parts["components"])
    parts["stages"] = tuple(_stage(stage) for stage in parts["stages"])
    parts["firewall"] = tuple(FirewallRule(**rule) for rule in parts.get("firewall", ()))
    for name in ("drift", "not_judged"):
        parts[name] = tuple(Finding(**finding) for finding in parts.get(name, ()))
    for name in ("left_out", "only", "exclude"):
        parts[name] = tuple(parts.get(name, ()))
    return Plan(**parts)


def _stage(document: Mapping[str, Any]) -> Stage:
    return Stage(**{**document, "steps": tuple(_step(step) for step in document.get("steps", ()))})


def _step(document: Mapping[str, Any]) -> Step:
    actions = tuple(PlannedAction(**_tuples(action)) for action in document.get("actions", ()))
    return Step(**{**document, "actions": actions, "steps": tuple(_step(step) for step in document.get("steps", ()))})


def _tuples(document: Mapping[str, Any]) -> dict[str, Any]:
    lists = ("reasons", "items", "outputs", "hidden")
    return {key: tuple(value) if key in lists else value for key, value in document.items()}

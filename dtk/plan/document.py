"""plan.json: the plan as a document, written the same way for the same plan, read back and checked."""

from __future__ import annotations

from typing import cast, get_args

from dtk.errors import InvalidError, NewerFormatError
from dtk.model.codec import Codec, MalformedError
from dtk.model.json_data import Json, JsonObject, ReadOnlyObject, as_object, parse_json
from dtk.model.json_text import indented
from dtk.model.plan import FORMAT_VERSION, Plan
from dtk.model.planned_action import PlannedAction, PlannedDeploy, PlannedItem, PlannedOperation, PlannedPuppet

_ALWAYS = {
    Plan: ("nodes", "components", "stages", "destroys", "resumes"),
    PlannedAction: ("attributes", "items", "retries", "retry_delay", "on_failure"),
    PlannedOperation: ("arguments",),
    PlannedPuppet: ("parameters",),
    PlannedDeploy: ("parameters",),
}
CODEC = Codec(_ALWAYS, repeated=get_args(PlannedItem))
"""Writes and reads a plan, and parts of one."""


def to_document(plan: Plan) -> JsonObject:
    """Return a plan as JSON data; fields that say nothing are left out."""
    return {"format_version": FORMAT_VERSION, **CODEC.document(plan)}


def to_text(plan: Plan) -> str:
    """Return plan.json as text. Keys keep their order: that of hosts in a target says which is taken first."""
    return indented(to_document(plan)) + "\n"


def from_text(text: str, source: str) -> Plan:
    """Return the plan that a plan.json holds.

    Args:
        text: the file's content.
        source: its name, for messages.

    Raises:
        InvalidError: it is not a plan.
        NewerFormatError: a newer dtk wrote it.
    """
    try:
        document = parse_json(text)
    except ValueError as error:
        raise InvalidError(f"{source} is not a plan: {error}", hint="make one: dtk plan SERVICE --out FILE") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NewerFormatError(source, "plan", version)
    _check(document, source)
    try:
        return from_document(as_object(document))
    except MalformedError as error:
        raise InvalidError(f"{source} is not a plan: {error}", hint="make one: dtk plan SERVICE --out FILE") from None


def _check(document: object, source: str) -> None:
    from dtk.dsl.yaml.schema import schema_problems  # noqa: PLC0415 - jsonschema is loaded only where a plan is read

    problems = schema_problems(cast(Json, document), "plan", source)
    if problems:
        raise InvalidError(f"{source} is not a plan", problems, hint="make one: dtk plan SERVICE --out FILE")


def from_document(document: ReadOnlyObject) -> Plan:
    """Return the plan of a document.

    Raises:
        MalformedError: it is not one.
    """
    return CODEC.instance(Plan, {key: value for key, value in document.items() if key != "format_version"})

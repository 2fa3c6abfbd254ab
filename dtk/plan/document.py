"""plan.json: the plan as a document, serialized deterministically, parsed and validated."""

from __future__ import annotations

from dataclasses import replace
from typing import cast, get_args

from dtk.errors import InvalidError, NewerFormatError
from dtk.model.canonical import digest_of
from dtk.model.codec import Codec, MalformedError
from dtk.model.json_data import Json, JsonObject, ReadOnlyObject, as_object, parse_json
from dtk.model.json_text import indented
from dtk.model.plan import FORMAT_VERSION, Plan, Stage
from dtk.model.planned_action import PlannedAction, PlannedDeploy, PlannedItem, PlannedOperation, PlannedPuppet
from dtk.plan.folding import StepFolder

_ALWAYS = {
    Plan: ("nodes", "components", "stages", "destroys", "resumes"),
    PlannedAction: ("attributes", "items", "retries", "retry_delay", "on_failure"),
    PlannedOperation: ("arguments",),
    PlannedPuppet: ("parameters",),
    PlannedDeploy: ("parameters",),
}
CODEC = Codec(_ALWAYS, repeated=get_args(PlannedItem))
"""Writes and reads plans and their parts."""
_FOLDER = StepFolder(CODEC)


def to_document(plan: Plan) -> JsonObject:
    """Return a plan as JSON data with every step in full, for programs; defaults are left out."""
    return {"format_version": FORMAT_VERSION, **CODEC.document(plan)}


def to_folded(plan: Plan) -> JsonObject:
    """Return a plan as the JSON data of plan.json: group members as differences from the first member."""
    stages: list[Json] = [
        {**CODEC.document(replace(stage, steps=())), "steps": _FOLDER.folded(stage.steps)} for stage in plan.stages
    ]
    return {"format_version": FORMAT_VERSION, **CODEC.document(replace(plan, stages=())), "stages": stages}


def to_text(plan: Plan) -> str:
    """Return plan.json as text. Keys keep their order: the order of a target's hosts decides which is used first."""
    return indented(to_folded(plan)) + "\n"


def digest_of_plan(plan: Plan) -> str:
    """Return the digest of a plan's whole content except its digest field."""
    return digest_of(to_folded(replace(plan, digest="")))


def earlier_digest(plan: Plan) -> str:
    """Return the digest that the plan would have in format 1, which stores every step in full."""
    return digest_of({**to_document(replace(plan, digest="")), "format_version": 1})


def from_text(text: str, source: str, *, is_of_task: bool = False) -> Plan:
    """Parse the plan in a plan.json.

    Args:
        text: the file's content.
        source: the file's name, for messages.
        is_of_task: whether it is the copy that dtk writes for a task, which needs no check against the schema.

    Raises:
        InvalidError: the text is not a plan.
        NewerFormatError: a newer dtk wrote it.
    """
    try:
        document = parse_json(text)
    except ValueError as error:
        raise InvalidError(f"{source} is not a plan: {error}", hint="create one: dtk plan SERVICE --out FILE") from None
    version = document.get("format_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NewerFormatError(source, "plan", version)
    if not is_of_task:
        _check(document, source)
    try:
        return from_document(as_object(document))
    except MalformedError as error:
        raise InvalidError(f"{source} is not a plan: {error}", hint="create one: dtk plan SERVICE --out FILE") from None


def _check(document: object, source: str) -> None:
    from dtk.dsl.yaml.schema import schema_problems  # noqa: PLC0415 - jsonschema is loaded only where a plan is read

    problems = schema_problems(cast(Json, document), "plan", source)
    if problems:
        raise InvalidError(f"{source} is not a plan", problems, hint="create one: dtk plan SERVICE --out FILE")


def from_document(document: ReadOnlyObject) -> Plan:
    """Return the plan in a document.

    Raises:
        MalformedError: the document is not a plan.
    """
    head = {key: value for key, value in document.items() if key != "format_version"}
    stages = head.get("stages")
    if not isinstance(stages, list):
        raise MalformedError("has no list of stages")
    return replace(CODEC.instance(Plan, {**head, "stages": []}), stages=tuple(map(_stage, stages)))


def _stage(document: Json) -> Stage:
    if not isinstance(document, dict) or "steps" not in document:
        raise MalformedError("has a stage without steps")
    return replace(CODEC.instance(Stage, {**document, "steps": []}), steps=_FOLDER.unfolded(document["steps"]))

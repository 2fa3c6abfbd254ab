"""Parses ``task.planned`` into the step tree, and typed fields out of any event, tolerating any content."""

from __future__ import annotations

from collections.abc import Mapping

from dtk.events.event import Event
from dtk.events.tree import ErrorType, OperationResult, StepError, TaskStage, TaskStep
from dtk.model.json_data import Json

_LONGEST_SECONDS = 1e12


def text(event: Mapping[str, Json], name: str) -> str:
    """Return a text field, "" if it is missing or has another type."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def texts(event: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """Return the strings in a list field."""
    value = event.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def whole(event: Mapping[str, Json], name: str) -> int | None:
    """Return a whole-number field, None if it is missing or has another type."""
    value = event.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def planned_stages(event: Event) -> tuple[TaskStage, ...]:
    """Return the stages of a ``task.planned`` event, all ``created``."""
    return tuple(
        TaskStage(number=text(stage, "number"), name=text(stage, "name"), steps=planned_steps(stage))
        for stage in _mappings(event, "stages")
    )


def planned_steps(parent: Mapping[str, Json]) -> tuple[TaskStep, ...]:
    """Return the steps of a stage or a group."""
    return tuple(
        TaskStep(
            number=text(step, "number"),
            type=text(step, "type"),
            node=text(step, "node"),
            components=texts(step, "components"),
            actions=texts(step, "actions"),
            reason=text(step, "reason"),
            group_size=whole(step, "group_size") or 0,
            steps=planned_steps(step),
        )
        for step in _mappings(parent, "steps")
    )


def event_errors(event: Event) -> tuple[StepError, ...]:
    """Return the error of a ``step.finished`` or ``task.finished`` event; empty if it has none."""
    error = event.get("error")
    if not isinstance(error, Mapping):
        return ()
    output = text(error, "output")
    return (
        StepError(
            message=text(error, "message"),
            type=_error_type(error.get("type")),
            component=text(error, "component"),
            command=text(error, "command"),
            exit_code=whole(error, "exit_code"),
            output=tuple(output.split("\n")) if output else texts(error, "output"),
        ),
    )


def _error_type(value: object) -> ErrorType:
    return "USER" if value == "USER" else "TEST" if value == "TEST" else "SERVER"


def operation_result(event: Event) -> OperationResult:
    """Return the result in an ``operation.finished`` event."""
    return OperationResult(
        kind=text(event, "kind"),
        component=text(event, "component"),
        action=text(event, "action"),
        name=text(event, "name"),
        arguments=text(event, "arguments"),
        command=text(event, "command"),
        changed=event.get("changed") is True,
        skipped=event.get("skipped") is True,
        exit_code=whole(event, "exit_code"),
        stdout=text(event, "stdout"),
        stderr=text(event, "stderr"),
        seconds=measured(event),
        output_held=event.get("output_held") is True,
    )


def measured(event: Mapping[str, Json]) -> float | None:
    """Return the duration in seconds that the writer measured; None if the field is missing or implausible."""
    value = event.get("seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LONGEST_SECONDS else None


def _mappings(parent: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    value = parent.get(name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []

"""``task-status --json``: a task as a document (schemas/task-status.schema.json)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from dtk.events.event import timestamp
from dtk.events.expected_times import Expectation
from dtk.events.tree import OperationResult, Row, StepError, Task, TaskStage, TaskStep

FORMAT_VERSION = 1


def task_document(task: Task, expectation: Expectation | None = None) -> dict[str, Any]:
    """Return the document: the task, its ``stages``, their ``steps``, and the members of a group in its ``steps``.

    With an expectation, each of them has ``expected``: its expected duration in seconds, null if unknown.
    """
    return {
        "format_version": FORMAT_VERSION,
        "service": task.service,
        "task": task.number,
        "task_type": task.type,
        "assembly": task.assembly,
        "workflow": task.workflow,
        "target": task.target,
        "plan_digest": task.plan_digest,
        **_progress(task, expectation),
        "errors": _errors(task.errors),
        "next_command": task.next_command,
        "in_doubt": list(task.in_doubt),
        "cancelled_by": task.cancelled_by,
        "last_event_at": _time(task.last_event_at),
        "notes": list(task.notes),
        "stages": [_stage(stage, expectation) for stage in task.stages],
    }


def row_document(row: Row) -> dict[str, object]:
    """Return one stage, group or step as in the task's document."""
    return _step(row, None) if isinstance(row, TaskStep) else _stage(row, None)


def _stage(stage: TaskStage, expectation: Expectation | None) -> dict[str, object]:
    steps = [_step(step, expectation) for step in stage.steps]
    return {"number": stage.number, "name": stage.name, **_progress(stage, expectation), "steps": steps}


def _step(step: TaskStep, expectation: Expectation | None) -> dict[str, object]:
    return {
        "number": step.number,
        "type": step.type,
        "node": step.node,
        **_progress(step, expectation),
        "components": list(step.components),
        "actions": list(step.actions),
        "reason": step.reason,
        "changed": step.changed,
        "attempt": step.attempt,
        "last_output": step.last_output,
        "in_doubt": step.in_doubt,
        "errors": _errors(step.errors),
        "results": [_result(result) for result in step.results],
        "steps": [_step(member, expectation) for member in step.steps],
    }


def _progress(part: Row | Task, expectation: Expectation | None) -> dict[str, object]:
    expected = {"expected": expectation.of(part)} if expectation else {}
    times = {"started_at": _time(part.started_at), "ended_at": _time(part.ended_at)}
    return {"status": part.status, **times, "duration": part.duration, **expected}


def _errors(errors: tuple[StepError, ...]) -> list[dict[str, object]]:
    return [{**asdict(error), "output": list(error.output)} for error in errors]


def _result(result: OperationResult) -> dict[str, object]:
    return asdict(result)


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None

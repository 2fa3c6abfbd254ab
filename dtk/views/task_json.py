"""``task-status --json``: a task as a document (schemas/task-status.schema.json)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from dtk.events.event import timestamp
from dtk.events.tree import OperationResult, Progress, Stage, Step, StepError, Task

FORMAT_VERSION = 1


def task_document(task: Task) -> dict[str, Any]:
    """Return the document: the task, its ``stages``, their ``steps``, a group's members in its own ``steps``."""
    return {
        "format_version": FORMAT_VERSION,
        "service": task.service,
        "task": task.number,
        "task_type": task.type,
        "assembly": task.assembly,
        "workflow": task.workflow,
        "target": task.target,
        "plan_digest": task.plan_digest,
        **_progress(task),
        "errors": _errors(task.errors),
        "next_command": task.next_command,
        "in_doubt": list(task.in_doubt),
        "cancelled_by": task.cancelled_by,
        "last_event_at": _time(task.last_event_at),
        "notes": list(task.notes),
        "stages": [_stage(stage) for stage in task.stages],
    }


def _stage(stage: Stage) -> dict[str, Any]:
    steps = [_step(step) for step in stage.steps]
    return {"number": stage.number, "name": stage.name, **_progress(stage), "steps": steps}


def _step(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "type": step.type,
        "node": step.node,
        **_progress(step),
        "components": list(step.components),
        "actions": list(step.actions),
        "reason": step.reason,
        "changed": step.changed,
        "attempt": step.attempt,
        "last_output": step.last_output,
        "in_doubt": step.in_doubt,
        "errors": _errors(step.errors),
        "results": [_result(result) for result in step.results],
        "steps": [_step(member) for member in step.steps],
    }


def _progress(part: Progress) -> dict[str, Any]:
    times = {"started_at": _time(part.started_at), "ended_at": _time(part.ended_at)}
    return {"status": part.status, **times, "duration": part.duration}


def _errors(errors: tuple[StepError, ...]) -> list[dict[str, Any]]:
    return [{**asdict(error), "output": list(error.output)} for error in errors]


def _result(result: OperationResult) -> dict[str, Any]:
    return asdict(result)


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None

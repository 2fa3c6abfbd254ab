"""Closes the rows of a finished task, so that nothing in its tree stays running."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from dtk.events.derived_rows import derived_group, derived_stage
from dtk.events.tree import Status, StepError, Task, TaskStage, TaskStep

WORKER_GONE = "the worker has ended: it is unknown whether this step completed"
NO_OUTCOME = "the task ended while this step was running: it is unknown whether it completed"
WORKER_GONE_BETWEEN = "the worker ended before the task did"


def close_orphan(task: Task, next_command: str = "") -> Task:
    """Close the task of a dead worker: it failed at the worker's last event, and the running steps are in doubt.

    ``next_command`` is the command that continues it, from its plan; by default the one that resumes an apply.
    """
    resume = f"dtk apply {task.service} --resume" if task.service else ""
    running = tuple(leaf.number for leaf in task.leaves() if leaf.status == "executing")
    in_doubt = tuple(leaf.number for leaf in task.leaves() if leaf.in_doubt or leaf.status == "executing")
    # A step in doubt has its own error; the task needs one only if its worker died between steps.
    errors = task.errors if running else (*task.errors, StepError(WORKER_GONE_BETWEEN))
    return replace(
        task,
        status="failed",
        ended_at=task.last_event_at,
        stages=_close_stages(task, "failed", WORKER_GONE, task.last_event_at),
        errors=errors,
        in_doubt=in_doubt,
        next_command=next_command or resume,
    )


def close_finished(task: Task) -> Task:
    """Close every row of a finished task that its own events left open.

    In a cancelled task, running rows become cancelled, as in the original; in any other task they failed and are in
    doubt. In the original they could stay ``executing`` for ever.
    """
    status: Status = "cancelled" if task.status == "cancelled" else "failed"
    closed = replace(task, stages=_close_stages(task, status, NO_OUTCOME, task.ended_at))
    in_doubt = tuple(leaf.number for leaf in closed.leaves() if leaf.in_doubt)
    return replace(closed, in_doubt=in_doubt)


def _close_stages(task: Task, status: Status, message: str, end: datetime | None) -> tuple[TaskStage, ...]:
    return tuple(
        _close_stage(stage, tuple(_close_step(step, task, status, message, end) for step in stage.steps), end)
        for stage in task.stages
    )


def _close_stage(stage: TaskStage, steps: tuple[TaskStep, ...], end: datetime | None) -> TaskStage:
    closed = derived_stage(stage, steps, over=True)
    if closed.started_at is None or closed.ended_at is not None:
        return closed
    # The stage had started, but none of its steps had.
    return replace(closed, status="cancelled" if closed.status == "created" else closed.status, ended_at=end)


def _close_step(step: TaskStep, task: Task, status: Status, message: str, end: datetime | None) -> TaskStep:
    if step.steps:
        members = tuple(_close_step(member, task, status, message, end) for member in step.steps)
        return derived_group(step, members, over=True)
    if step.status != "executing":
        return step
    # A cancel stops running steps and waits for them, so a step is in doubt only if the worker says so.
    in_doubt = status == "failed" or step.number in task.in_doubt
    errors = (*step.errors, StepError(message)) if in_doubt else step.errors
    return replace(step, status=status, ended_at=end, errors=errors, in_doubt=in_doubt)

"""Closes the log of a dead worker, so that the log alone shows the final state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dtk.events.event import timestamp, utc_now
from dtk.events.fold import fold
from dtk.events.log import EventLog
from dtk.events.log_reader import read_log
from dtk.events.tree import Progress, StepError, Task, TaskStage, TaskStep


def close_orphaned_log(path: Path, *, clock: Callable[[], datetime] = utc_now) -> tuple[str, ...] | None:
    """Append the missing end events of a dead worker, and return the steps in doubt.

    Only the holder of the service's lock may call it: nobody else may write, and the lock proves that the worker is
    gone. The appended events match what every view of the unfinished log already shows (``dtk.events.closing``):
    running steps and the task ``failed`` at the worker's last event, ``ended_at``. A repeated call, even after a crash
    in the middle of it, adds only what is missing.

    Returns:
        The numbers of the steps in doubt; None if there was nothing to close: no log, or a finished one.

    Raises:
        LogWriteError: the log can't be written.
    """
    if not path.exists():
        return None
    events = read_log(path).events
    open_task = fold(events)
    if open_task.is_over:
        return None
    # Write what readers of the unfinished log already see, so that closing it changes no view.
    closed = fold(events, writer_alive=False)
    with EventLog(path, clock=clock) as log:
        # Steps, stages, task, in this order: after a crash in the middle, the next recovery can continue.
        for before, after in zip(open_task.leaves(), closed.leaves(), strict=True):
            if before.status == "executing":
                _close_step(log, after)
        for stage_before, stage_after in zip(open_task.stages, closed.stages, strict=True):
            if stage_before.started_at is not None and stage_before.ended_at is None:
                _close_stage(log, stage_after)
        _close_task(log, closed)
    return closed.in_doubt


def _close_step(log: EventLog, step: TaskStep) -> None:
    message = f"{step.number} {step.type} {step.node}: in doubt"
    log.append(
        "step.finished",
        message,
        step=step.number,
        node=step.node,
        in_doubt=True,
        **_ending(step, step.errors),
    )


def _close_stage(log: EventLog, stage: TaskStage) -> None:
    log.append("stage.finished", f"stage {stage.number} {stage.status}", stage=stage.number, **_ending(stage))


def _close_task(log: EventLog, task: Task) -> None:
    message = task.errors[-1].message if task.errors else "the worker has ended; some steps are in doubt"
    ending = _ending(task, task.errors)
    log.append("task.finished", message, next_command=task.next_command, in_doubt=list(task.in_doubt), **ending)


def _ending(part: Progress, errors: tuple[StepError, ...] = ()) -> dict[str, Any]:
    ended_at = {"ended_at": timestamp(part.ended_at)} if part.ended_at else {}
    error = {"error": {"message": errors[-1].message, "type": errors[-1].type}} if errors else {}
    # Write only a measured duration; others are still derived from the times, as before the log was closed.
    seconds = {} if part.seconds is None else {"seconds": round(part.seconds, 6)}
    return {"status": part.status, **seconds, **ended_at, **error}

"""The rows of parents, derived from the leaves below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dtk.events.tree import Progress, Status, TaskStage, TaskStep


def derived_status(leaves: Sequence[Progress], *, over: bool) -> Status:
    """Return a parent's status: any cancelled, any failed, all succeeded, none started, else executing.

    Source: docs/original.md 5.4. If the task is over (``over``), a parent interrupted between two of its leaves counts
    as cancelled: nothing stays ``executing``.
    """
    statuses = {leaf.status for leaf in leaves}
    for ending in ("cancelled", "failed"):
        if ending in statuses:
            return "cancelled" if ending == "cancelled" else "failed"
    if statuses == {"succeeded"}:
        return "succeeded"
    if statuses <= {"created"}:
        return "created"
    return "cancelled" if over else "executing"


def derived_progress(leaves: Sequence[Progress], *, over: bool = False) -> Progress:
    """Return a parent's status, with its start (of the first leaf) and its end (of the last leaf).

    There is no end while a leaf runs, even if another leaf's failure already determines the status.
    """
    status = derived_status(leaves, over=over)
    starts = [leaf.started_at for leaf in leaves if leaf.started_at]
    ends = [leaf.ended_at for leaf in leaves if leaf.ended_at]
    running = status == "executing" or any(leaf.status == "executing" for leaf in leaves)
    ended_at = max(ends) if ends and not running else None
    found = Progress(status=status, started_at=min(starts, default=None), ended_at=ended_at)
    longest = max((leaf.seconds for leaf in leaves if leaf.seconds is not None), default=0.0)
    # The system clock may have been set back in between; a leaf's measured duration is reliable.
    return replace(found, seconds=longest) if (found.duration or 0.0) < longest else found


def derived_group(group: TaskStep, steps: tuple[TaskStep, ...], *, over: bool = False) -> TaskStep:
    """Return a group's row, derived from these members."""
    progress = derived_progress([leaf for step in steps for leaf in step.leaves()], over=over)
    return replace(
        group,
        steps=steps,
        status=progress.status,
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        seconds=progress.seconds,
    )


def derived_stage(stage: TaskStage, steps: tuple[TaskStep, ...], *, over: bool = False) -> TaskStage:
    """Return a stage's row, derived from these steps; the stage's own events take precedence."""
    if stage.is_over and stage.ended_at is not None:
        return replace(stage, steps=steps)
    progress = derived_progress([leaf for step in steps for leaf in step.leaves()], over=over)
    started = stage.started_at is not None and progress.status == "created" and not over
    return replace(
        stage,
        steps=steps,
        status="executing" if started else progress.status,
        started_at=stage.started_at or progress.started_at,
        ended_at=progress.ended_at,
        seconds=progress.seconds,
    )

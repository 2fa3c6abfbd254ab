"""The critical path of a task: the steps that it had to wait for."""

from __future__ import annotations

from datetime import datetime, timedelta

from dtk.events.tree import Task, TaskStage, TaskStep

_AT_ONCE = timedelta(seconds=0.1)
"""A step that starts this soon after its stage waited for no other one."""


def critical_path(task: Task) -> tuple[TaskStep, ...]:
    """Return the steps on the critical path, in order.

    Stages follow one another, so it holds of each stage the step that ended last; where that one had to wait for
    another to end (at most so many at a time), the one it waited for, and so on.
    """
    return tuple(step for stage in task.stages for step in _in_stage(stage))


def _in_stage(stage: TaskStage) -> list[TaskStep]:
    begun = [leaf for leaf in stage.leaves() if leaf.started_at]
    if not begun:
        return []
    path = [max(begun, key=_end)]
    on_path = {path[0].number}
    start = stage.started_at or min(leaf.started_at for leaf in begun if leaf.started_at)
    while (began := path[0].started_at) and began - start > _AT_ONCE:
        before = [leaf for leaf in begun if leaf.ended_at and leaf.ended_at <= began and leaf.number not in on_path]
        if not before:
            break
        path.insert(0, max(before, key=_end))
        on_path.add(path[0].number)
    return path


def _end(step: TaskStep) -> datetime:
    """A step that still runs ends later than any that has ended."""
    return step.ended_at or datetime.max.replace(tzinfo=step.started_at.tzinfo if step.started_at else None)

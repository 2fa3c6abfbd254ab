"""The critical path of a task: the chain of steps that determined its duration."""

from __future__ import annotations

from datetime import datetime, timedelta

from dtk.events.tree import Task, TaskStage, TaskStep

_AT_ONCE = timedelta(seconds=0.1)
"""A step that starts within this time after its stage did not wait for another step."""


def critical_path(task: Task) -> tuple[TaskStep, ...]:
    """Return the steps on the critical path, in order.

    Stages run one after the other, so the path contains the step of each stage that ended last; if that step had to
    wait for another one to end (because of ``max_in_flight``), also the one it waited for, and so on.
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
    """Return the sort key of a step's end; a running step sorts last."""
    return step.ended_at or datetime.max.replace(tzinfo=step.started_at.tzinfo if step.started_at else None)

"""How long the parts of a task will take, learned from the service's earlier tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import TypeAlias

from dtk.events.tree import Row, Task, TaskStage, TaskStep
from dtk.model.names import group_of

Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class Expectation:
    """Seconds that steps and stages took before; ``seconds`` maps what identifies them across tasks to the median."""

    seconds: Mapping[Key, float] = field(default_factory=dict)

    def of(self, part: Row | Task) -> float | None:
        """Return the seconds a row is expected to take, None where no earlier task tells.

        A step takes as long as the same work on the same node did, else on another member of its group; a group as
        long as its slowest member; the task as long as its stages in turn, as far as they are known.
        """
        if isinstance(part, Task):
            known = [seconds for stage in part.stages if (seconds := self.of(stage)) is not None]
            return sum(known) if known else None
        if isinstance(part, TaskStep) and not part.steps:
            return next((self.seconds[key] for key in _leaf_keys(part) if key in self.seconds), None)
        if isinstance(part, TaskStage) and _stage_key(part) in self.seconds:
            return self.seconds[_stage_key(part)]
        return max((seconds for leaf in part.leaves() if (seconds := self.of(leaf)) is not None), default=None)

    def end_of(self, task: Task, now: datetime) -> ExpectedEnd | None:
        """Return when a running task is expected to end; None when it does not run or nothing is known about it."""
        if task.is_over or task.started_at is None:
            return None
        open_stages = [stage for stage in task.stages if not stage.is_over]
        left = [self._left(stage, now) for stage in open_stages]
        if not any(seconds is not None for seconds in left):
            return None
        unknown = sum(self.of(leaf) is None for stage in open_stages for leaf in stage.leaves() if not leaf.is_over)
        return ExpectedEnd(now + timedelta(seconds=sum(seconds or 0.0 for seconds in left)), unknown)

    def _left(self, stage: TaskStage, now: datetime) -> float | None:
        """Return the seconds until a stage ends: those of its slowest open step, or of the whole as it was before."""
        open_leaves = [leaf for leaf in stage.leaves() if not leaf.is_over]
        left = [expected - _elapsed(part, now) for part in open_leaves if (expected := self.of(part)) is not None]
        if _stage_key(stage) in self.seconds:
            left.append(self.seconds[_stage_key(stage)] - _elapsed(stage, now))
        return max([0.0, *left]) if left else None


@dataclass(frozen=True)
class ExpectedEnd:
    """A moment, and the number of steps still to be done that no earlier task tells about."""

    moment: datetime
    unknown: int


def learn(tasks: Iterable[Task]) -> Expectation:
    """Return what tasks tell about how long their steps and stages take; only what succeeded counts."""
    samples: defaultdict[Key, list[float]] = defaultdict(list)
    for task in tasks:
        for stage in task.stages:
            _sample(samples, stage, [_stage_key(stage)])
            for leaf in stage.leaves():
                _sample(samples, leaf, _leaf_keys(leaf))
    return Expectation({key: median(seconds) for key, seconds in samples.items()})


def leaf_key(step: TaskStep) -> Key:
    """Return what identifies a step across tasks: its work and its node, not its number."""
    return step.type, step.node, step.components, step.actions


def _leaf_keys(step: TaskStep) -> list[Key]:
    anyone = ("member", step.type, group_of(step.node), step.components, step.actions)
    return [leaf_key(step), anyone]


def _stage_key(stage: TaskStage) -> Key:
    """A stage lasts as long as before only on the same nodes: a bound on how many run at once is in its time."""
    return "stage", stage.name, tuple(leaf_key(leaf) for leaf in stage.leaves())


def _sample(samples: defaultdict[Key, list[float]], part: Row, keys: Iterable[Key]) -> None:
    if part.status == "succeeded" and part.duration is not None:
        for key in keys:
            samples[key].append(part.duration)


def _elapsed(part: Row, now: datetime) -> float:
    return max(0.0, (now - part.started_at).total_seconds()) if part.started_at else 0.0

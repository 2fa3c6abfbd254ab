"""Expected durations of the parts of a task, learned from the service's earlier tasks."""

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
    """Durations of earlier steps and stages; ``seconds`` maps their identity across tasks to the median in seconds."""

    seconds: Mapping[Key, float] = field(default_factory=dict)

    def of(self, part: Row | Task) -> float | None:
        """Return the expected duration of a row in seconds, None if no earlier task tells.

        A step takes as long as the same work on the same node, else on another member of its group; a group as long as
        its slowest member; the task as long as the sum of its stages, as far as they are known.
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
        """Return when a running task is expected to end; None if it is not running or no duration is known."""
        if task.is_over or task.started_at is None:
            return None
        open_stages = [stage for stage in task.stages if not stage.is_over]
        left = [self._left(stage, now) for stage in open_stages]
        if not any(seconds is not None for seconds in left):
            return None
        unknown = sum(self.of(leaf) is None for stage in open_stages for leaf in stage.leaves() if not leaf.is_over)
        return ExpectedEnd(now + timedelta(seconds=sum(seconds or 0.0 for seconds in left)), unknown)

    def _left(self, stage: TaskStage, now: datetime) -> float | None:
        """Return the seconds until a stage ends: of its slowest open step, or of the whole stage in earlier tasks."""
        open_leaves = [leaf for leaf in stage.leaves() if not leaf.is_over]
        left = [expected - _elapsed(part, now) for part in open_leaves if (expected := self.of(part)) is not None]
        if _stage_key(stage) in self.seconds:
            left.append(self.seconds[_stage_key(stage)] - _elapsed(stage, now))
        return max([0.0, *left]) if left else None


@dataclass(frozen=True)
class ExpectedEnd:
    """The expected end, and the number of remaining steps without a known duration."""

    moment: datetime
    unknown: int


def learn(tasks: Iterable[Task]) -> Expectation:
    """Learn the durations of steps and stages from tasks; only successful ones count."""
    samples: defaultdict[Key, list[float]] = defaultdict(list)
    for task in tasks:
        for stage in task.stages:
            _sample(samples, stage, [_stage_key(stage)])
            for leaf in stage.leaves():
                _sample(samples, leaf, _leaf_keys(leaf))
    return Expectation({key: median(seconds) for key, seconds in samples.items()})


def leaf_key(step: TaskStep) -> Key:
    """Return the identity of a step across tasks: its work and its node, not its number."""
    return step.type, step.node, step.components, step.actions


def _leaf_keys(step: TaskStep) -> list[Key]:
    anyone = ("member", step.type, group_of(step.node), step.components, step.actions)
    return [leaf_key(step), anyone]


def _stage_key(stage: TaskStage) -> Key:
    """Return the identity of a stage; it includes the nodes, because ``max_in_flight`` affects the duration."""
    return "stage", stage.name, tuple(leaf_key(leaf) for leaf in stage.leaves())


def _sample(samples: defaultdict[Key, list[float]], part: Row, keys: Iterable[Key]) -> None:
    if part.status == "succeeded" and part.duration is not None:
        for key in keys:
            samples[key].append(part.duration)


def _elapsed(part: Row, now: datetime) -> float:
    return max(0.0, (now - part.started_at).total_seconds()) if part.started_at else 0.0

"""Which of a stage's steps may start next: as many at once as the stage, and the group of each step, allow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from dtk.model.plan import Stage, Step


class Window:
    """Keeps count of the steps that run; a group that is full holds up no step but its own.

    ``stage`` says the limits; ``steps`` are those of its leaves that they bound.
    """

    def __init__(self, stage: Stage, steps: Sequence[Step]) -> None:
        self._limit = in_flight(stage.max_in_flight, len(steps))
        groups = [group for group in stage.steps if group.steps]
        self._group_of = {leaf.number: group.number for group in groups for leaf in group.leaves()}
        self._limits = {group.number: in_flight(group.max_in_flight, len(group.steps)) for group in groups}
        self._running = 0
        self._running_of: Counter[str] = Counter()

    def next(self, waiting: Sequence[Step]) -> Step | None:
        """Return the first step that may start now, None while those that run leave no room for any."""
        if self._running >= self._limit:
            return None
        return next((step for step in waiting if self._has_room(self._group_of.get(step.number))), None)

    def enter(self, step: Step) -> None:
        """Count a step as running."""
        self._count(step, 1)

    def leave(self, step: Step) -> None:
        """Count a step as done."""
        self._count(step, -1)

    def _count(self, step: Step, change: int) -> None:
        self._running += change
        if step.number in self._group_of:
            self._running_of[self._group_of[step.number]] += change

    def _has_room(self, group: str | None) -> bool:
        if group is None:
            return True
        return self._running_of[group] < self._limits[group]


def in_flight(limit: int | str | None, steps: int) -> int:
    """Return how many of a number of steps may run at once, at least one.

    Args:
        limit: a number, a share like ``25%`` (rounded up), or None for no limit.
        steps: how many there are.
    """
    if limit is None:
        return max(steps, 1)
    if isinstance(limit, str) and limit.endswith("%"):
        return max(math.ceil(steps * float(limit[:-1]) / 100), 1)
    return max(int(limit), 1)

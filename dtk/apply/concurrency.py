"""Decides which steps of a stage may start next, within the limits of the stage, the groups and the actions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from dtk.model.membership import balancer_group
from dtk.model.plan import Stage, Step
from dtk.model.window import in_flight


class Window:
    """Counter of a stage's running steps. A group or an action at its limit delays no other steps.

    ``stage`` defines the limits; ``steps`` are those of its leaves that the limits apply to.
    """

    def __init__(self, stage: Stage, steps: Sequence[Step]) -> None:
        self._limit = in_flight(stage.max_in_flight, len(steps))
        self._limits: dict[str, int] = {}
        self._shares: defaultdict[str, list[str]] = defaultdict(list)
        for group in (group for group in stage.steps if group.steps):
            self._limits[group.number] = in_flight(group.max_in_flight, len(group.steps))
            for leaf in group.leaves():
                self._shares[leaf.number].append(group.number)
        self._add_target_groups(steps)
        self._add_actions(steps)
        self._running = 0
        self._running_of: Counter[str] = Counter()

    def _add_target_groups(self, steps: Sequence[Step]) -> None:
        """Limit how many nodes are out of a load balancer group at once, also if several groups of nodes share it.

        The limit is the largest one of those groups, and one for nodes outside groups.
        """
        limits: dict[str, int] = {}
        for step in steps:
            own = max((self._limits[group] for group in self._shares[step.number]), default=1)
            for name in {f"target group {balancer_group(group)}" for group in step.target_groups}:
                limits[name] = max(limits.get(name, 1), own)
                self._shares[step.number].append(name)
        self._limits |= limits

    def _add_actions(self, steps: Sequence[Step]) -> None:
        """Add the limits of actions that restrict how many nodes run them at once."""
        running: defaultdict[str, list[Step]] = defaultdict(list)
        limits: dict[str, int | str] = {}
        for step in steps:
            for action in step.actions:
                if action.max_in_flight is not None:
                    name = f"{action.component}.{action.action}"
                    running[name].append(step)
                    limits[name] = action.max_in_flight
        for name, limit in limits.items():
            self._limits[name] = in_flight(limit, len(running[name]))
            for step in running[name]:
                self._shares[step.number].append(name)

    def next(self, waiting: Sequence[Step]) -> Step | None:
        """Return the first step that may start now, or None if the running steps leave no room for any."""
        if self._running >= self._limit:
            return None
        return next((step for step in waiting if self._has_room(step)), None)

    def enter(self, step: Step) -> None:
        """Count a step as started."""
        self._count(step, 1)

    def leave(self, step: Step) -> None:
        """Count a step as finished."""
        self._count(step, -1)

    def _count(self, step: Step, change: int) -> None:
        self._running += change
        for shared in self._shares[step.number]:
            self._running_of[shared] += change

    def _has_room(self, step: Step) -> bool:
        return all(self._running_of[shared] < self._limits[shared] for shared in self._shares[step.number])

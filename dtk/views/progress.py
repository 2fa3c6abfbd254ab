"""The progress of a followed task within a stage: steps that end, and steps that take long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from dtk.events.event import Event, moment_of
from dtk.events.planned import planned_stages, text, texts
from dtk.views.formatting import duration_text, long_duration, one_line

STILL_RUNNING_SECONDS = 60.0
"""Seconds between reports of running steps to a log: hosted CI ends jobs that print nothing for some minutes."""
LONG_STEP_SECONDS = 3.0
"""Seconds after which a terminal shows a step as long-running."""
_MOST_STEPS = 5
_LONGEST_LINE = 200


@dataclass
class _Running:
    node: str
    type: str
    since: datetime
    last_line: str = ""


class RunningSteps:
    """The running steps, updated by events; the cost per event does not depend on the number of steps."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._types: dict[str, str] = {}
        self._running: dict[str, _Running] = {}
        self._said: datetime | None = None

    def lines(self, event: Event | None) -> Iterator[str]:
        """Handle an event (None if nothing is new); yield a line about a step that ended, or about running steps."""
        if event is None:
            yield from self._still_running()
            return
        kind, number = event.get("type"), text(event, "step")
        if kind == "task.planned":
            self._types = {leaf.number: leaf.type for stage in planned_stages(event) for leaf in stage.leaves()}
        elif kind == "step.started":
            since = moment_of(event.get("ts")) or self._clock()
            self._running[number] = _Running(text(event, "node"), self._types.get(number, "step"), since)
        elif kind in ("step.output", "step.heartbeat") and number in self._running:
            printed = [*texts(event, "lines"), *filter(None, [text(event, "last_line")])]
            self._running[number].last_line = printed[-1] if printed else self._running[number].last_line
        elif kind == "step.finished" and (step := self._running.pop(number, None)):
            yield _finished_line(event, step)

    def _still_running(self) -> Iterator[str]:
        now = self._clock()
        # Sorted by their start.
        steps = list(self._running.values())
        if (
            not steps
            or (now - max(steps[0].since, self._said or steps[0].since)).total_seconds() < STILL_RUNNING_SECONDS
        ):
            return
        self._said = now
        yield from (f"still running: {_long_line(step, now)}\n" for step in steps[:_MOST_STEPS])
        if len(steps) > _MOST_STEPS:
            yield f"still running: {len(steps) - _MOST_STEPS} more\n"

    def status_line(self) -> str:
        """Return a line for the terminal about the step that has been running longest, "" if none takes long."""
        now = self._clock()
        steps = list(self._running.values())
        if not steps or _seconds(steps[0].since, now) < LONG_STEP_SECONDS:
            return ""
        more = f" (and {len(steps) - 1} more)" if len(steps) > 1 else ""
        line = f"  {one_line(steps[0].last_line)}" if steps[0].last_line else ""
        return f"{steps[0].node} {steps[0].type} {long_duration(_seconds(steps[0].since, now))}{more}{line}"


def _long_line(step: _Running, now: datetime) -> str:
    last = one_line(step.last_line)[:_LONGEST_LINE]
    seconds = _seconds(step.since, now)
    took = f"{int(seconds // 60)} min" if seconds >= STILL_RUNNING_SECONDS else f"{int(seconds)} s"
    return f"{step.node} ({took})" + (f", {last}" if last else "")


def _seconds(since: datetime, now: datetime) -> float:
    return (now - since).total_seconds()


def _finished_line(event: Event, step: _Running) -> str:
    took = event.get("seconds")
    seconds = f" in {duration_text(float(took))}" if isinstance(took, int | float) else ""
    status = text(event, "status")
    why = f": {one_line(text(event, 'message'))[:_LONGEST_LINE]}" if status == "failed" else ""
    return f"{one_line(step.node)}: {step.type} {status}{seconds}{why}\n"

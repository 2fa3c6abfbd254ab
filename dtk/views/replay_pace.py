"""Replays the events of a finished task at their own pace, or faster or slower."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from dtk.events.event import Event, moment_of, utc_now

_TICK_SECONDS = 0.1


class Pace:
    """Plays events; ``now`` is the current time of the recording."""

    def __init__(self, events: Sequence[Event], speed: float) -> None:
        """Play events ``speed`` times as fast as they happened."""
        self._events = events
        self._speed = speed
        self._began = time.monotonic()
        moments = [moment for event in events if (moment := moment_of(event.get("ts")))]
        self._first = min(moments, default=utc_now())
        self._last = max(moments, default=self._first)

    def now(self) -> datetime:
        """Return the current time of the recording, at most its end."""
        passed = timedelta(seconds=(time.monotonic() - self._began) * self._speed)
        return min(self._first + passed, self._last)

    def play(self, wait: Callable[[float], object]) -> Iterator[Event | None]:
        """Yield each event when it is due, and None in between; ``wait`` waits for a number of seconds."""
        self._began = time.monotonic()
        for event in self._events:
            moment = moment_of(event.get("ts")) or self._first
            while (left := (moment - self.now()).total_seconds() / self._speed) > 0:
                yield None
                wait(min(_TICK_SECONDS, left))
            yield event

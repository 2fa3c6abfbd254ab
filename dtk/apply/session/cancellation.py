"""Ends a task early: no new step starts, running steps are stopped, and some may finish a part first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import gevent

from dtk.apply.reporting.failure import StepStopped

Reason = Literal["", "cancelled", "failed"]


class Stopping:
    """Whether the task must end, and the greenlets of the steps that have to be stopped."""

    def __init__(self) -> None:
        self.reason: Reason = ""
        self.why = ""
        self.outcome = ""
        """The task's status once its stages have ended; a later stop does not change it."""
        self._stops_steps = False
        self._steps: dict[gevent.Greenlet, str] = {}
        self._shielded: set[gevent.Greenlet] = set()

    def stop(self, reason: Reason, why: str = "") -> None:
        """End the task as ``cancelled`` by a user, or as ``failed`` because it can't continue. The first reason wins.

        ``why`` is for people. Running steps are stopped, also those that ``start_nothing`` allowed to finish.
        """
        if self._stops_steps:
            return
        self._stops_steps = True
        self.reason, self.why = self.reason or reason, why or self.why
        # The step that detects that the task can't continue already has its own error.
        for greenlet in self._steps.keys() - self._shielded - {gevent.getcurrent()}:
            greenlet.kill(StepStopped, block=False)

    def start_nothing(self, why: str) -> None:
        """End the task as ``failed``, but let running steps finish."""
        if not self.reason:
            self.reason, self.why = "failed", why

    @property
    def running_steps(self) -> list[str]:
        """The numbers of the steps that have not ended."""
        return list(self._steps.values())

    @contextmanager
    def step(self, number: str) -> Iterator[None]:
        """Register the current greenlet as a step's, so that ``stop`` raises ``StepStopped`` in it, once.

        After the block, nothing stops the greenlet any more: a step's end is recorded whatever happens.
        """
        current = gevent.getcurrent()
        self._steps[current] = number
        try:
            yield
        finally:
            del self._steps[current]
            if self._stops_steps:
                # The error may be on its way, and arrives when the greenlet next waits.
                with suppress(StepStopped):
                    gevent.sleep(0)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Protect a part of the current step from interruption; a stop takes effect afterwards."""
        current = gevent.getcurrent()
        self._shielded.add(current)
        try:
            yield
        finally:
            self._shielded.discard(current)
        if self._stops_steps:
            raise StepStopped

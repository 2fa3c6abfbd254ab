"""How a task is ended before its time: nothing new starts, what runs is told, some of it may finish first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import gevent

from dtk.apply.reporting.failure import StepStopped

Reason = Literal["", "cancelled", "failed"]


class Stopping:
    """Whether the task is to end, and the greenlets of the steps that have to be told."""

    def __init__(self) -> None:
        self.reason: Reason = ""
        self.why = ""
        self._steps: dict[gevent.Greenlet, str] = {}
        self._shielded: set[gevent.Greenlet] = set()

    def stop(self, reason: Reason, why: str = "") -> None:
        """End the task: ``cancelled`` by somebody, or ``failed`` because it can't go on. The first reason stands.

        ``why`` is for people. Steps that were let run to their end before are told now.
        """
        if self.reason and not (why and self.why):
            return
        self.reason, self.why = self.reason or reason, why
        # The step that finds out that the task can't go on has its own error already.
        for greenlet in self._steps.keys() - self._shielded - {gevent.getcurrent()}:
            greenlet.kill(StepStopped, block=False)

    def start_nothing(self, why: str) -> None:
        """End the task as ``failed``, but let the steps that run come to their end."""
        if not self.reason:
            self.reason, self.why = "failed", why

    @property
    def running_steps(self) -> list[str]:
        """The numbers of the steps that are not over."""
        return list(self._steps.values())

    @contextmanager
    def step(self, number: str) -> Iterator[None]:
        """Let the current greenlet, which runs a step, be told by a ``StepStopped`` thrown into it, once."""
        current = gevent.getcurrent()
        self._steps[current] = number
        try:
            yield
        finally:
            del self._steps[current]

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Let the current step finish what may not be interrupted; it is told afterwards."""
        current = gevent.getcurrent()
        self._shielded.add(current)
        try:
            yield
        finally:
            self._shielded.discard(current)
        if self.reason:
            raise StepStopped

"""Writes to the log what a step does while it runs: its start, output, heartbeats, results, end."""

from __future__ import annotations

import time
from contextlib import suppress

import gevent

from dtk.apply.reporting.redacted_log import Journal, RecordError
from dtk.model.json_data import JsonObject, ReadOnlyJson
from dtk.model.plan import Step
from dtk.ssh.output import LONGEST_SHOWN_LINE, OutputGate, Stream

HEARTBEAT_SECONDS = 8.0
"""In seconds. Readers can rely on an event at least every ten seconds (docs/events.md)."""
_FLUSH_SECONDS = 0.5


class StepReporter:
    """The writer of one step's events, from ``started`` to ``finished``."""

    def __init__(self, journal: Journal, step: Step) -> None:
        self._journal = journal
        self.step = step
        self._began = time.monotonic()
        self._gate = OutputGate(self._write_output)
        self._flusher: gevent.Greenlet | None = None
        self._heart: gevent.Greenlet | None = None
        self.last_line = ""

    @property
    def seconds(self) -> float:
        """Seconds since the step started."""
        return round(time.monotonic() - self._began, 3)

    def started(self) -> None:
        """Write the step's start to disk: only after this may the step do anything."""
        self._began = time.monotonic()
        digest = {"input_digest": self.step.actions[0].input_digest} if len(self.step.actions) == 1 else {}
        self._event("step.started", f"{self.step.type} on {self.step.node}", **digest)
        self._heart = gevent.spawn(self._beat)

    def _beat(self) -> None:
        with suppress(RecordError):
            while True:
                gevent.sleep(HEARTBEAT_SECONDS)
                line = self._journal.redacted(self.last_line)[:LONGEST_SHOWN_LINE]
                self._event("step.heartbeat", line or "running", seconds=self.seconds, last_line=line)

    def output(self, stream: Stream, line: str) -> None:
        """Add one line of output; it is written in a batch a moment later."""
        self.last_line = line
        self._gate.add(stream, self._journal.redacted(line)[:LONGEST_SHOWN_LINE])
        if not self._flusher:
            self._flusher = gevent.spawn_later(_FLUSH_SECONDS, self._flush)

    def waiting(self, reason: str) -> None:
        """Set the text of the next heartbeat: what the step waits for, or its progress."""
        self.last_line = reason

    def _flush(self) -> None:
        with suppress(RecordError):
            self._gate.flush()

    def _write_output(self, stream: Stream, lines: list[str], left_out: int) -> None:
        truncated = {"truncated": left_out} if left_out else {}
        message = lines[-1] if lines else f"{left_out} lines left out"
        self._event("step.output", message, stream=stream, lines=lines, **truncated)

    def operation(self, message: str, **fields: ReadOnlyJson) -> None:
        """Record one finished operation, after all of its output."""
        self._gate.flush()
        self._event("operation.finished", message, **fields)

    def retrying(self, attempt: int, attempts: int, delay: float, reason: str) -> None:
        """Record that a failed action is retried after ``delay`` seconds."""
        self._event(
            "step.retrying",
            f"attempt {attempt} of {attempts} in {delay:g} s: {reason}",
            attempt=attempt,
            attempts=attempts,
            delay=delay,
            reason=reason,
        )

    def finished(self, status: str, *, changed: bool, error: JsonObject | None = None, in_doubt: bool = False) -> None:
        """Write the step's end to disk; ``in_doubt`` means that its effect is unknown."""
        for greenlet in (self._heart, self._flusher):
            if greenlet is not None:
                greenlet.kill(block=False)
        self._flush()
        message = str(error["message"]) if error else f"{self.step.type} on {self.step.node} {status}"
        fields: JsonObject = {"error": error} if error else {}
        fields |= {"in_doubt": True} if in_doubt else {}
        self._event("step.finished", message, status=status, changed=changed, seconds=self.seconds, **fields)

    def _event(self, event_type: str, message: str, **fields: ReadOnlyJson) -> None:
        self._journal.append(event_type, message, step=self.step.number, node=self.step.node, **fields)

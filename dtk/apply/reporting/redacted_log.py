"""The event log of a task as the executor writes it: redacted; it handles a full disk once for the whole task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from dtk.apply.reporting.redaction import Redactor
from dtk.errors import DtkError
from dtk.events.log import EventLog, LogWriteError
from dtk.model.json_data import ReadOnlyJson, as_object

CLOSING_TYPES = ("step.finished", "stage.finished", "task.finished")


class RecordError(DtkError):
    """The log or the state can no longer be written; the task must end."""


class Journal:
    """A writer of events. After the first failure it writes only closing events, as far as they fit on the disk."""

    def __init__(self, log: EventLog, redactor: Redactor, on_broken: Callable[[], None]) -> None:
        self._log = log
        self._redactor = redactor
        self._on_broken = on_broken
        self.broken = ""
        self.is_ended = False
        """Whether the task's end is written: nothing may follow it."""

    def redacted(self, text: str) -> str:
        """Return a text as the log may show it; shorten it only after redaction."""
        return self._redactor.text(text)

    def append(self, event_type: str, message: str, **fields: ReadOnlyJson) -> None:
        """Write one event.

        Raises:
            RecordError: it can't be written, or the task's end is; never raised for an event that closes a step, a
                stage or the task: after the task's end it is dropped.
        """
        if event_type in CLOSING_TYPES:
            if not self.is_ended:
                self.is_ended = event_type == "task.finished"
                self._close(event_type, message, fields)
        elif self.is_ended:
            raise RecordError("the task has ended")
        elif self.broken:
            raise RecordError(self.broken)
        else:
            self._write(event_type, message, fields)

    def _write(self, event_type: str, message: str, fields: Mapping[str, ReadOnlyJson]) -> None:
        try:
            self._log.append(event_type, self._redactor.text(message), **self._redactor.fields(fields))
        except LogWriteError as error:
            raise self.break_off(error.message) from error

    def _close(self, event_type: str, message: str, fields: Mapping[str, ReadOnlyJson]) -> None:
        if not self.broken:
            with suppress(RecordError):
                return self._write(event_type, message, fields)
        # The first failure frees the disk space that the log had reserved: this line fits there, its output may not.
        if "error" in fields:
            error = as_object(fields["error"])
            fields = {**fields, "error": {**error, "output": ""}}
        with suppress(RecordError):
            self._write(event_type, message, fields)
        return None

    def break_off(self, reason: str) -> RecordError:
        """Stop all further records, notify the task, and return the error to raise."""
        if not self.broken:
            self.broken = reason
            self._on_broken()
        return RecordError(reason)

"""The single writer of a task's event log: whole lines, numbered without gaps, synced to disk when it matters."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType

from dtk.disk.appended_file import AppendedFile, Sync
from dtk.disk.files import sync_file, sync_folder
from dtk.errors import DtkError
from dtk.events.event import BOUNDARY_TYPES, HEADER, VERSION, decode, encode, timestamp, utc_now

RESERVE_BYTES = 64 * 1024
"""Disk space reserved beside the log, so that a full disk leaves room for the lines that close the task."""

MOST_UNSYNCED_BYTES = 1024 * 1024
"""Output without a boundary event is synced in such portions: the log keeps in memory what is not synced."""


class LogWriteError(DtkError):
    """The event log can't be written (full disk, quota, disk failure); the task must end.

    The log is still well-formed. The first such error frees the reserved disk space, so that the lines that close the
    steps and the task can still be appended.
    """


class EventLog:
    """An open log. The opener must hold the service's lock, because only one writer may exist.

    An existing log is continued after its last whole line; a torn line, left by a crash, is truncated.
    Threads and greenlets may share it, and those that wait for the disk at the same time share a sync.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now, sync: Sync = sync_file) -> None:
        """Open or create the log at ``path`` (mode 0600).

        Args:
            path: the file.
            clock: returns the time of each event.
            sync: writes a descriptor's file to disk.

        Raises:
            LogWriteError: the log can't be created, or there is no disk space for it.
        """
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._reserve = path.with_name(path.name + ".reserve")
        try:
            self._file = AppendedFile(path, sync=sync)
        except OSError as error:
            raise _write_error(path, error) from error
        try:
            self._sequence = _resume(self._file)
            self._hold_reserve()
            sync_folder(path.parent)
        except OSError as error:
            self.close()
            raise _write_error(path, error) from error

    def append(self, event_type: str, message: str, /, *, durable: bool = False, **fields: object) -> dict[str, object]:
        """Write one event and return it.

        Args:
            event_type: one of ``dtk.events.event.TYPES``.
            message: one line for people.
            durable: wait until the event is on disk; boundary types always do.
                fields: the type's own fields, JSON values.

        Raises:
            LogWriteError: the event can't be written, and no part of it is in the log; or it can't be synced, and is
                synced with the next boundary.
        """
        if clash := fields.keys() & set(HEADER):
            raise ValueError(f"fields of the event's header can't be given: {sorted(clash)}")
        try:
            with self._lock:
                header = (VERSION, self._sequence + 1, timestamp(self._clock()), event_type, " ".join(message.split()))
                event = {**dict(zip(HEADER, header, strict=True)), **fields}
                wait_for_disk = self._file.append(encode(event))
                self._sequence += 1
            if durable or event_type in BOUNDARY_TYPES or self._file.unsynced > MOST_UNSYNCED_BYTES:
                wait_for_disk()
        except OSError as error:
            self._free_reserve()
            raise _write_error(self.path, error) from error
        return event

    def close(self) -> None:
        """Close the log and free the reserved disk space; a second call does nothing."""
        with self._lock:
            self._file.close()
            self._free_reserve()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hold_reserve(self) -> None:
        # Random bytes: a compressing filesystem would reserve almost no space for zeros.
        if not self._reserve.exists():
            self._reserve.write_bytes(os.urandom(RESERVE_BYTES))

    def _free_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)


def _resume(file: AppendedFile) -> int:
    """Truncate a torn last line; return the last sequence number."""
    content = file.path.read_bytes()
    size = content.rfind(b"\n") + 1
    if size != len(content):
        file.truncate(size)
    for line in reversed(content[:size].split(b"\n")):
        event = decode(line)
        if not isinstance(event, str):
            return int(event["seq"])
    return 0


def _write_error(path: Path, error: OSError) -> LogWriteError:
    return LogWriteError(
        f"the event log {path} can't be written: {error.strerror or error}", hint="free some space on its disk"
    )

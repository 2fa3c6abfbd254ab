"""The single writer of a task's event log: whole lines, numbered without gaps, synced to disk when it matters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from dtk.errors import DtkError
from dtk.events.event import BOUNDARY_TYPES, HEADER, VERSION, decode, encode, timestamp

RESERVE_BYTES = 64 * 1024
"""Disk space reserved beside the log, so that a full disk leaves room for the lines that close the task."""


class LogWriteError(DtkError):
    """The event log can't be written (full disk, quota, disk failure); the task must end.

    The log is still well-formed. The first such error frees the reserved disk space, so that the lines that close the
    steps and the task can still be appended.
    """


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class EventLog:
    """An open log. The opener must hold the service's lock, because only one writer may exist.

    An existing log is continued after its last whole line; a torn line, left by a crash, is truncated.
    Threads and greenlets may share it.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        """Open or create the log at ``path`` (mode 0600); ``clock`` returns the time of each event.

        Raises:
            LogWriteError: the log can't be created, or there is no disk space for it.
        """
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._reserve = path.with_name(path.name + ".reserve")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _write_error(path, error) from error
        try:
            self._sequence, self._size = _resume(self._descriptor, path)
            self._hold_reserve()
            _sync_folder(path.parent)
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
            LogWriteError: the event can't be written; no part of it is in the log.
        """
        if clash := fields.keys() & set(HEADER):
            raise ValueError(f"fields of the event's header can't be given: {sorted(clash)}")
        with self._lock:
            header = (VERSION, self._sequence + 1, timestamp(self._clock()), event_type, " ".join(message.split()))
            event = {**dict(zip(HEADER, header, strict=True)), **fields}
            self._write(encode(event))
            self._sequence += 1
            if durable or event_type in BOUNDARY_TYPES:
                self._sync()
        return event

    def close(self) -> None:
        """Close the log and free the reserved disk space; a second call does nothing."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                self._free_reserve()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            self._give_up(error)
        if written != len(line):
            self._give_up(OSError(0, f"only {written} of {len(line)} bytes fit on the disk"))
        self._size += len(line)

    def _sync(self) -> None:
        try:
            _sync(self._descriptor)
        except OSError as error:
            self._free_reserve()
            raise _write_error(self.path, error) from error

    def _give_up(self, error: OSError) -> NoReturn:
        """Truncate a partly written line, so that readers never see one, and free the reserve."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        self._free_reserve()
        raise _write_error(self.path, error) from error

    def _hold_reserve(self) -> None:
        # Random bytes: a compressing filesystem would reserve almost no space for zeros.
        if not self._reserve.exists():
            self._reserve.write_bytes(os.urandom(RESERVE_BYTES))

    def _free_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)


def _resume(descriptor: int, path: Path) -> tuple[int, int]:
    """Truncate a torn last line; return the last sequence number and the log's size in bytes."""
    content = path.read_bytes()
    size = content.rfind(b"\n") + 1
    if size != len(content):
        os.ftruncate(descriptor, size)
        _sync(descriptor)
    for line in reversed(content[:size].split(b"\n")):
        event = decode(line)
        if not isinstance(event, str):
            return int(event["seq"]), size
    return 0, size


def _sync(descriptor: int) -> None:
    # On macOS, fsync leaves data in the drive's cache; F_FULLFSYNC does not, if the filesystem supports it.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Sync the folder, so that a new file's name survives a power failure, not just its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_error(path: Path, error: OSError) -> LogWriteError:
    return LogWriteError(
        f"the event log {path} can't be written: {error.strerror or error}", hint="free some space on its disk"
    )

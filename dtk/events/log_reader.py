"""Reads an event log, whole or as it grows, and survives whatever state the file is in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dtk.events.event import TYPES, VERSION, Event, decode

POLL_SECONDS = 0.02
"""Between two looks at a log that has nothing new: what is written is shown before a person notices the delay."""
LIVENESS_SECONDS = 0.2
"""How long a log is silent before its writer is looked up: that takes the service's lock for an instant."""
_CHUNK_BYTES = 1 << 20
_MAX_NOTES = 50
"""A file of nothing but broken lines must not become as many notes."""


@dataclass(frozen=True)
class Reading:
    """What a log holds: its events in order, and what is wrong with it, by line number."""

    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()


def read_log(path: Path) -> Reading:
    """Return all that can be read of a log, finished or not.

    A torn last line, broken lines, unknown types and gaps in the sequence become notes; unknown fields are kept.

    Raises:
        OSError: the file can't be read.
    """
    notes: list[str] = []
    return Reading(tuple(read_events(path, notes.append)), tuple(notes))


def read_events(path: Path, note: Callable[[str], object]) -> Iterator[Event]:
    """Yield the events of a log that can be read, one at a time: a log of a million is not held in memory.

    Args:
        path: the log, finished or not.
        note: called with each thing that is wrong with it, as in ``Reading.notes``.

    Raises:
        OSError: the file can't be read.
    """
    scanner = _LogScanner(note)
    torn = b""
    with path.open("rb", buffering=_CHUNK_BYTES) as file:
        for line in file:
            if not line.endswith(b"\n"):
                torn = line
            elif (event := scanner.event(line)) is not None:
                yield event
    scanner.end(torn)


def follow(
    path: Path,
    *,
    is_alive: Callable[[], bool],
    poll: float = POLL_SECONDS,
    wait: Callable[[float], object] = time.sleep,
    note: Callable[[str], object] | None = None,
) -> Iterator[Event | None]:
    """Yield a log's events as they appear, None whenever there is nothing new.

    Ends after ``task.finished``, or when the writer is gone and all that it left is read. The file may appear
    late, and may be deleted while it is read: what its writer still writes is read to the end.

    Args:
        path: the log.
        is_alive: whether the log's writer lives (it holds the service's lock).
        poll: seconds between looks.
        wait: waits so many seconds; a screen passes one that a key ends.
        note: told what is wrong with the log, as in ``Reading.notes``.
    """
    scanner = _LogScanner(note or (lambda _: None))
    silence = LIVENESS_SECONDS
    with _LogTail(path) as tail:
        while True:
            # Asked before reading: lines written between a last read and the writer's death would be lost.
            is_gone = silence >= LIVENESS_SECONDS and not is_alive()
            found = False
            for line in tail.lines():
                found = True
                event = scanner.event(line)
                if event is not None:
                    yield event
                    if event["type"] == "task.finished":
                        return
            if not found and is_gone:
                scanner.end(tail.torn())
                return
            silence = 0.0 if found or silence >= LIVENESS_SECONDS else silence + poll
            if not found:
                yield None
                wait(poll)


class _LogScanner:
    """Turns lines into events, counting lines and checking the sequence."""

    def __init__(self, note: Callable[[str], object]) -> None:
        self._tell = note
        self._reported = 0
        self._line = 0
        self._sequence = 0
        self._unknown: set[str] = set()

    def event(self, line: bytes) -> Event | None:
        """Return the event in a whole line, None (and a note) when there is none."""
        self._line += 1
        event = decode(line)
        if isinstance(event, str):
            self._note(f"{event}; skipped")
            return None
        self._check_sequence(event["seq"])
        self._check_known(event)
        return event

    def end(self, torn: bytes) -> None:
        """Note what follows the last whole line."""
        self._line += 1
        if torn:
            self._note("torn: the writer stopped in the middle of it; skipped")

    def _check_sequence(self, sequence: int) -> None:
        expected = self._sequence + 1
        if sequence > expected:
            self._note(f"a gap: event {expected} expected, event {sequence} found")
        elif sequence < expected:
            self._note(f"out of order: event {expected} expected, event {sequence} found")
        self._sequence = max(sequence, self._sequence)

    def _check_known(self, event: Event) -> None:
        version = event.get("v")
        if version != VERSION and "v" not in self._unknown:
            self._unknown.add("v")
            self._note(f"event version {version!r} is not known to this dtk ({VERSION})")
        if event["type"] not in TYPES and event["type"] not in self._unknown:
            self._unknown.add(event["type"])
            self._note(f"event type {event['type']!r} is not known to this dtk; ignored")

    def _note(self, text: str) -> None:
        self._reported += 1
        if self._reported <= _MAX_NOTES:
            self._tell(f"line {self._line}: {text}")
        elif self._reported == _MAX_NOTES + 1:
            self._tell(f"line {self._line}: more problems follow; not listed")


class _LogTail:
    """A file that grows, read by whole lines.

    It reads by offset and keeps no half line, so that a writer which cuts a torn line away is followed rightly.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._offset = 0

    def __enter__(self) -> _LogTail:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def lines(self) -> Iterator[bytes]:
        """Yield the whole lines that are new."""
        size = _CHUNK_BYTES
        while chunk := self._read(size):
            end = chunk.rfind(b"\n") + 1
            if end:
                self._offset += end
                yield from chunk[: end - 1].split(b"\n")
            elif len(chunk) < size:
                return
            else:
                size *= 2

    def torn(self) -> bytes:
        """Return what follows the last whole line."""
        return self._read(_CHUNK_BYTES)

    def _read(self, size: int) -> bytes:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        if os.fstat(self._descriptor).st_size < self._offset:
            # Cut by somebody else; its writer goes on at the new end, and the gap is noted.
            self._offset = 0
        return os.pread(self._descriptor, size, self._offset)

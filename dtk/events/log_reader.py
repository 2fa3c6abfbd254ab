"""Reads an event log, at once or as it grows, and tolerates a file in any condition."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dtk.events.event import TYPES, VERSION, Event, decode

POLL_SECONDS = 0.02
"""Interval between reads of a log without new events, short enough that users don't notice a delay."""
LIVENESS_SECONDS = 0.2
"""How long a log must be silent before checking its writer, since the check briefly takes the service's lock."""
_CHUNK_BYTES = 1 << 20
_MAX_NOTES = 50
"""Limits the notes about a file with nothing but malformed lines."""


@dataclass(frozen=True)
class Reading:
    """The content of a log: its events in order, and its problems by line number."""

    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()


def read_log(path: Path) -> Reading:
    """Return everything readable in a log, finished or not.

    A torn last line, malformed lines, unknown types and gaps in the sequence become notes; unknown fields are kept.

    Raises:
        OSError: the file can't be read.
    """
    notes: list[str] = []
    return Reading(tuple(read_events(path, notes.append)), tuple(notes))


def read_events(path: Path, note: Callable[[str], object]) -> Iterator[Event]:
    """Yield a log's readable events one at a time, so that a log with a million events is not held in memory.

    Args:
        path: the log, finished or not.
        note: called with each problem, as in ``Reading.notes``.

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

    Ends after ``task.finished``, or when the writer is gone and everything it wrote was read. The file may appear late,
    and may be deleted while it is read: what its writer still writes is read to the end.

    Args:
        path: the log.
        is_alive: whether the log's writer is alive (it holds the service's lock).
        poll: seconds between reads.
        wait: waits for a number of seconds; a screen passes one that a key press interrupts.
        note: called with each problem of the log, as in ``Reading.notes``.
    """
    scanner = _LogScanner(note or (lambda _: None))
    silence = LIVENESS_SECONDS
    with _LogTail(path) as tail:
        while True:
            # Check before reading; otherwise lines written between the last read and the writer's death would be lost.
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
    """Parses lines into events, counts lines and checks the sequence."""

    def __init__(self, note: Callable[[str], object]) -> None:
        self._tell = note
        self._reported = 0
        self._line = 0
        self._sequence = 0
        self._unknown: set[str] = set()

    def event(self, line: bytes) -> Event | None:
        """Return the event in a whole line; None (and a note) if there is none."""
        self._line += 1
        event = decode(line)
        if isinstance(event, str):
            self._note(f"{event}; skipped")
            return None
        self._check_sequence(event["seq"])
        self._check_known(event)
        return event

    def end(self, torn: bytes) -> None:
        """Add a note about a torn last line."""
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
    """A growing file, read by whole lines.

    It reads by offset and never buffers a partial line, so that it stays correct if a writer truncates a torn line.
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
        """Yield the new whole lines."""
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
        """Return the rest of the file after the last whole line."""
        return self._read(_CHUNK_BYTES)

    def _read(self, size: int) -> bytes:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        if os.fstat(self._descriptor).st_size < self._offset:
            # Truncated by another process; its writer continues at the new end, and the gap becomes a note.
            self._offset = 0
        return os.pread(self._descriptor, size, self._offset)

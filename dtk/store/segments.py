"""A task's log in the store: immutable segments of whole lines, numbered without gaps, shipped and read again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dtk.store.errors import FencedError
from dtk.store.layout import ServiceKeys, segment_number
from dtk.store.objects import Objects, get_patiently, put_once

SEGMENT_BYTES = 256 * 1024
"""A segment's size at most, but for a single line that is longer."""


@dataclass(frozen=True)
class Shipped:
    """How far a log is in the store: the number of its last segment, and the bytes in all of them."""

    segment: int = 0
    size: int = 0


class LogShipper:
    """Ships what is new in a local log."""

    def __init__(self, objects: Objects, keys: ServiceKeys, task: int, log: Path, shipped: Shipped) -> None:
        """Go on after what is in the store already; ``log`` may not exist yet."""
        self._objects = objects
        self._keys = keys
        self._task = task
        self._log = log
        self.shipped = shipped

    def waiting(self) -> int:
        """Return how many bytes are not shipped yet."""
        try:
            return max(self._log.stat().st_size - self.shipped.size, 0)
        except FileNotFoundError:
            return 0

    def ship(self) -> None:
        """Ship all whole lines that are new.

        Raises:
            FencedError: somebody else has written the next segment.
            StoreUnreachableError: no clear answer came; calling again is safe.
            StoreError: the store refuses.
        """
        while data := self._next():
            number = self.shipped.segment + 1
            if not put_once(self._objects, self._keys.segment(self._task, number), data):
                raise FencedError(f"another holder has closed the log of task {self._task} (segment {number})")
            self.shipped = Shipped(number, self.shipped.size + len(data))

    def finish(self) -> None:
        """Ship what is left, then the whole log as one object, for those who read it later."""
        self.ship()
        whole = self._log.read_bytes()[: self.shipped.size]
        if not put_once(self._objects, self._keys.whole_log(self._task), whole):
            raise FencedError(f"another holder has closed the log of task {self._task}")

    def _next(self) -> bytes:
        try:
            with self._log.open("rb") as file:
                file.seek(self.shipped.size)
                data = file.read(SEGMENT_BYTES)
                end = data.rfind(b"\n") + 1
                if not end and len(data) == SEGMENT_BYTES:
                    data += file.readline()
                    end = len(data) if data.endswith(b"\n") else 0
        except FileNotFoundError:
            return b""
        return data[:end]


class LogMirror:
    """Brings a task's log from the store into a local file, segment by segment, as it grows.

    What is there is counted in a file beside the log, written after the log: a crash between both is cut away.
    """

    def __init__(self, objects: Objects, keys: ServiceKeys, task: int, log: Path) -> None:
        self._objects = objects
        self._keys = keys
        self._task = task
        self._log = log
        self._count = log.with_name(f"{log.name}.shipped")
        self.shipped = self._known()

    def fetch(self) -> bool:
        """Append the segments that are new; return whether there were any.

        Raises:
            StoreError: the store can't be reached, or refuses.
        """
        before = self.shipped
        while True:
            number = self.shipped.segment + 1
            found = get_patiently(self._objects, self._keys.segment(self._task, number))
            if found is None:
                return self.shipped != before
            self._append(found.data, number)

    def missing(self) -> list[int]:
        """Return the numbers of segments that are not there although later ones are."""
        keys = self._objects.list(self._keys.segments(self._task))
        numbers = {segment_number(key) for key in keys}
        return sorted(set(range(self.shipped.segment + 1, max(numbers, default=0))) - numbers)

    def _append(self, data: bytes, number: int) -> None:
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.truncate(self.shipped.size)
            file.seek(self.shipped.size)
            file.write(data)
        self.shipped = Shipped(number, self.shipped.size + len(data))
        temporary = self._count.with_name(f".{self._count.name}.{os.getpid()}")
        temporary.write_text(f"{self.shipped.segment} {self.shipped.size}\n", encoding="ascii")
        temporary.replace(self._count)

    def _known(self) -> Shipped:
        try:
            segment, size = map(int, self._count.read_text(encoding="ascii").split())
        except (FileNotFoundError, ValueError):
            return Shipped()
        there = self._log.stat().st_size if self._log.exists() else 0
        return Shipped(segment, size) if there >= size else Shipped()


def read_log(objects: Objects, keys: ServiceKeys, task: int) -> tuple[bytes, tuple[str, ...]]:
    """Return a task's log as the store has it, and what is wrong with it.

    Returns:
        The log's bytes, whole lines; a note where segments are missing between others: what is after them is left out.

    Raises:
        StoreError: the store can't be reached, or refuses.
    """
    whole = get_patiently(objects, keys.whole_log(task))
    if whole is not None:
        return whole.data, ()
    found: list[bytes] = []
    expected = 1
    listed = sorted(segment_number(key) for key in objects.list(keys.segments(task)))
    for number in (one for one in listed if one):
        if number != expected:
            return b"".join(found), (f"a gap: segment {expected} of task {task} is missing, segment {number} is there",)
        part = get_patiently(objects, keys.segment(task, number))
        if part is None:
            return b"".join(found), (f"a gap: segment {number} of task {task} is missing",)
        found.append(part.data)
        expected += 1
    return b"".join(found), ()

"""A task's log in the store: immutable segments of whole lines, numbered without gaps, shipped and read again."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dtk.state.files import make_private_folder, replace_file
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
            # Written once and never again: who recovers a task closes its log by taking the next number, and so
            # fences the writer.
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

    What is there is counted in a file beside the log, written after the log: a crash between both is cut away. Several
    processes may bring the same log: each adds only what is not there yet.
    """

    def __init__(self, objects: Objects, keys: ServiceKeys, task: int, log: Path) -> None:
        self._objects = objects
        self._keys = keys
        self._task = task
        self._log = log
        self._count = mirror_count(log)

    @property
    def shipped(self) -> Shipped:
        """How far the log is here."""
        return self._known()[0]

    @property
    def is_whole(self) -> bool:
        """Whether all of the log is here: its task is over."""
        return self._known()[1]

    def fetch(self) -> bool:
        """Append the segments that are new; return whether there were any.

        Raises:
            StoreError: the store can't be reached, or refuses.
        """
        before = self.shipped
        while not self.is_whole:
            number = self.shipped.segment + 1
            found = self._objects.get(self._keys.segment(self._task, number))
            if found is None:
                break
            self._append(found.data, number)
        return self.shipped != before

    def fetch_rest(self) -> None:
        """Bring all there is of a log whose writer has ended or is gone; what follows a missing segment as well.

        Readers of the log see from its sequence numbers that something is missing.

        Raises:
            StoreError: the store can't be reached, or refuses.
        """
        whole = self._objects.get(self._keys.whole_log(self._task))
        if whole is not None:
            self._append(whole.data, self.shipped.segment, is_whole=True)
            return
        for number in sorted(map(segment_number, self._objects.list(self._keys.segments(self._task)))):
            found = self._objects.get(self._keys.segment(self._task, number))
            if number > self.shipped.segment and found is not None:
                self._append(found.data, number)

    def _append(self, data: bytes, number: int, *, is_whole: bool = False) -> None:
        """Add a segment, or all of the log; nothing where another process was faster."""
        make_private_folder(self._log.parent)
        descriptor = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            shipped, has_all = self._known()
            if has_all or (number <= shipped.segment and not is_whole):
                return
            start = self._start(file, data, shipped) if is_whole else shipped.size
            # A crash between log and count leaves bytes that nobody has counted: they are written again.
            file.truncate(start)
            file.seek(start)
            file.write(data[start:] if is_whole else data)
            size = file.tell()
            file.flush()
            replace_file(self._count, f"{number} {size}{' whole' if is_whole else ''}\n")

    def _start(self, file: BinaryIO, whole: bytes, shipped: Shipped) -> int:
        """Return from where on the whole log is not here yet: what a follower has read stays where it is."""
        return shipped.size if file.read(shipped.size) == whole[: shipped.size] else 0

    def _known(self) -> tuple[Shipped, bool]:
        try:
            segment, size, *whole = self._count.read_text(encoding="ascii").split()
            there = self._log.stat().st_size
        except (FileNotFoundError, ValueError):
            return Shipped(), False
        return (Shipped(int(segment), int(size)), bool(whole)) if there >= int(size) else (Shipped(), False)


def mirror_count(log: Path) -> Path:
    """Return the file that counts how far a log is here that comes from the store; no log written here has one."""
    return log.with_name(f"{log.name}.shipped")


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

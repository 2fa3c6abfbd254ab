"""The log of a task in the store: immutable segments of whole lines, numbered without gaps, uploaded and read back."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dtk.disk.files import make_private_folder, replace_file
from dtk.store.errors import FencedError
from dtk.store.layout import ServiceKeys, segment_number
from dtk.store.objects import Objects, get_patiently, put_once

SEGMENT_BYTES = 256 * 1024
"""Maximum size of a segment in bytes, except for a single longer line."""


@dataclass(frozen=True)
class Shipped:
    """How much of a log is in the store: the number of its last segment, and the bytes in all of them."""

    segment: int = 0
    size: int = 0


class LogShipper:
    """Uploads what is new in a local log."""

    def __init__(self, objects: Objects, keys: ServiceKeys, task: int, log: Path, shipped: Shipped) -> None:
        """Continue after what is already in the store; ``log`` may not exist yet."""
        self._objects = objects
        self._keys = keys
        self._task = task
        self._log = log
        self.shipped = shipped

    def waiting(self) -> int:
        """Return how many bytes are not uploaded yet."""
        try:
            return max(self._log.stat().st_size - self.shipped.size, 0)
        except FileNotFoundError:
            return 0

    def ship(self) -> None:
        """Upload all new whole lines.

        Raises:
            FencedError: another process has written the next segment.
            StoreUnreachableError: the outcome is unknown; calling again is safe.
            StoreError: the store refuses the request.
        """
        while data := self._next():
            number = self.shipped.segment + 1
            # Segments are immutable: a process that recovers a task closes its log by taking the next number, which
            # fences the old writer.
            if not put_once(self._objects, self._keys.segment(self._task, number), data):
                raise FencedError(f"another holder has closed the log of task {self._task} (segment {number})")
            self.shipped = Shipped(number, self.shipped.size + len(data))

    def finish(self) -> None:
        """Upload the rest, then the complete log as one object for later readers."""
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
    """Downloads a task's log from the store into a local file, segment by segment, as it grows.

    A file beside the log counts what is there. It is written after the log, so a crash between the two leaves bytes
    that the next write cuts off. Several processes may fetch the same log: each appends only what is missing.
    """

    def __init__(self, objects: Objects, keys: ServiceKeys, task: int, log: Path) -> None:
        self._objects = objects
        self._keys = keys
        self._task = task
        self._log = log
        self._count = mirror_count(log)

    @property
    def shipped(self) -> Shipped:
        """How much of the log is here."""
        return self._known()[0]

    @property
    def is_whole(self) -> bool:
        """Whether the complete log is here: its task is over."""
        return self._known()[1]

    def fetch(self) -> bool:
        """Append new segments; return whether there were any.

        Raises:
            StoreError: the store is unreachable or refuses the request.
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
        """Fetch the rest of a log whose writer has ended, including what follows a missing segment.

        Readers of the log see from its sequence numbers that something is missing.

        Raises:
            StoreError: the store is unreachable or refuses the request.
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
        """Add a segment or the complete log; do nothing if another process was faster."""
        make_private_folder(self._log.parent)
        descriptor = os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            shipped, has_all = self._known()
            if has_all or (number <= shipped.segment and not is_whole):
                return
            start = self._start(file, data, shipped) if is_whole else shipped.size
            # A crash between writing the log and the count leaves uncounted bytes: overwrite them.
            file.truncate(start)
            file.seek(start)
            file.write(data[start:] if is_whole else data)
            size = file.tell()
            file.flush()
            replace_file(self._count, f"{number} {size}{' whole' if is_whole else ''}\n")

    def _start(self, file: BinaryIO, whole: bytes, shipped: Shipped) -> int:
        """Return the offset where the part of the log that is missing here starts; followers keep their position."""
        return shipped.size if file.read(shipped.size) == whole[: shipped.size] else 0

    def _known(self) -> tuple[Shipped, bool]:
        try:
            segment, size, *whole = self._count.read_text(encoding="ascii").split()
            there = self._log.stat().st_size
        except (FileNotFoundError, ValueError):
            return Shipped(), False
        return (Shipped(int(segment), int(size)), bool(whole)) if there >= int(size) else (Shipped(), False)


def mirror_count(log: Path) -> Path:
    """Return the file that counts how much of a fetched log is here; logs written on this machine have none."""
    return log.with_name(f"{log.name}.shipped")


def read_log(objects: Objects, keys: ServiceKeys, task: int) -> tuple[bytes, tuple[str, ...]]:
    """Return a task's log from the store, and notes about damage.

    Returns:
        The log's bytes in whole lines, and a note if a segment is missing; everything after the gap is left out.

    Raises:
        StoreError: the store is unreachable or refuses the request.
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

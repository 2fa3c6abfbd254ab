"""A file to which one process appends lines, and which many threads or greenlets wait for at once."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from dtk.disk.files import PRIVATE_FILE, sync_file

Sync = Callable[[int], None]
"""Writes a descriptor's file to disk; it may let other greenlets run meanwhile."""


class AppendedFile:
    """An open file of lines with a single writer. Lines are on disk in the order in which they were appended.

    One sync is for all the lines appended before it (group commit): while one runs, more are appended, and all who wait
    for those share the next one. A kernel may drop what a failed sync did not write and report success for the next
    one, so lines are kept until they are on disk and then written again.
    """

    def __init__(self, path: Path, *, flags: int = 0, sync: Sync = sync_file) -> None:
        """Open or create the file (mode 0600); ``flags`` are added to those of ``os.open``.

        Raises:
            OSError: it can't be opened.
        """
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, PRIVATE_FILE)
        self._sync = sync
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._size = os.fstat(self.descriptor).st_size
        self._synced_size = self._size
        self._appended = self._synced = 0
        self._waiting: list[bytes] = []
        self._is_doubtful = False

    @property
    def unsynced(self) -> int:
        """The number of bytes that are not on disk yet; they are kept in memory."""
        return self._size - self._synced_size

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes, on disk as well, before the first line is appended."""
        os.ftruncate(self.descriptor, size)
        self._sync(self.descriptor)
        self._size = self._synced_size = size

    def append(self, line: bytes) -> Callable[[], None]:
        """Append a line; return a function that waits until it is on disk and raises OSError if it can't be.

        Raises:
            OSError: it can't be written; no part of it remains in the file.
        """
        with self._lock:
            self._write(line)
            self._size += len(line)
            self._appended += 1
            self._waiting.append(line)
            return partial(self._wait, self._appended)

    def close(self) -> None:
        """Close the file after a sync that runs; a second call does nothing."""
        with self._syncing:
            self._close()

    @contextlib.contextmanager
    def replaced(self) -> Iterator[None]:
        """Close the file after the block, which writes what its lines say elsewhere; no sync runs meanwhile.

        Whoever waits for a line of it goes on. If the block raises an error, the file remains open.
        """
        with self._syncing:
            yield
            self._close()
            self._synced = self._appended

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _wait(self, line: int) -> None:
        """Return when the line of this number is on disk."""
        with self._syncing:
            if line > self._synced:
                self._sync_all()

    def _sync_all(self) -> None:
        with self._lock:
            appended, size, lines = self._appended, self._size, len(self._waiting)
            if self._is_doubtful:
                self._write_again()
        self._is_doubtful = True
        self._sync(self.descriptor)
        self._is_doubtful = False
        with self._lock:
            self._synced, self._synced_size = appended, size
            del self._waiting[:lines]

    def _write(self, line: bytes) -> None:
        try:
            if (written := os.write(self.descriptor, line)) != len(line):
                raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes fit on the disk")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, self._size)
            raise

    def _write_again(self) -> None:
        """Write the lines again whose sync failed: in the kernel's view they may be on disk."""
        # A descriptor of its own: with O_APPEND, Linux appends, whatever the offset.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            lines = b"".join(self._waiting)
            if os.pwrite(descriptor, lines, self._synced_size) != len(lines):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        finally:
            os.close(descriptor)

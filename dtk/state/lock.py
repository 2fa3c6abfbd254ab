"""One writer per service: a flock on a file beside the state; the kernel releases it when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from dtk.disk.files import PRIVATE_FILE, make_private_folder
from dtk.errors import LockedError
from dtk.model.author import NOBODY, Author, author_of
from dtk.state.author import this_author

LOCK_FILE = "lock"
_POLL_SECONDS = 0.1
_FIRST_OWN_DESCRIPTOR = 3
# Readers briefly take a shared lock to find the holder, so a writer retries for a little longer than that.
_SHORTEST_WAIT = 0.3


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock, and the author of its command (``by``).

    ``since`` is UTC, RFC 3339; ``task`` is the running task's number, 0 before there is one.
    """

    pid: int
    command: str
    host: str
    since: str
    task: int = 0
    by: Author = NOBODY

    def age(self) -> str:
        """Return how long the lock has been held, for people: ``42s``, ``3m 12s``, ``2h 5m``."""
        seconds = int((datetime.now(UTC) - datetime.fromisoformat(self.since)).total_seconds())
        minutes, rest = divmod(max(seconds, 0), 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"{hours}h {minutes}m"
        return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def this_process(command: str, task: int = 0, by: Author | None = None) -> Holder:
    """Return a holder for this process, starting now."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(os.getpid(), command, socket.gethostname(), since, task, by or NOBODY)


class ServiceLock:
    """A lock that this process holds until ``release`` or exit; children inherit it with the descriptor."""

    def __init__(self, path: Path, descriptor: int, command: str = "") -> None:
        self._path = path
        self.descriptor = descriptor
        self.command = command

    def author(self) -> Author:
        """Return the author recorded in the lock's file."""
        return _read(os.pread(self.descriptor, 4096, 0)).by

    def name_holder(self, holder: Holder) -> None:
        """Record the holder in the lock file, for processes that find it locked."""
        text = json.dumps(asdict(holder)).encode()
        os.pwrite(self.descriptor, text, 0)
        os.ftruncate(self.descriptor, len(text))

    def hand_over(self) -> None:
        """Close this process's descriptor of a lock that a child has inherited; the child keeps the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def release(self) -> None:
        """Release the lock. A lock that was handed over belongs to the child and stays."""
        if self.descriptor >= 0:
            os.ftruncate(self.descriptor, 0)
            self.hand_over()

    def __enter__(self) -> ServiceLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()


def acquire(folder: Path, command: str, wait: float | None = 0.0) -> ServiceLock:
    """Acquire a service's lock.

    Args:
        folder: the service's local state, ``.dtk/services/NAME``; created if missing.
        command: the command that needs the lock, as users type it.
        wait: how long to wait for another holder, in seconds; None for commands without a wait option.

    Raises:
        LockedError: another process holds the lock for longer than that.
    """
    deadline = time.monotonic() + max(wait or 0.0, _SHORTEST_WAIT)
    while True:
        lock = _try(folder)
        if lock is not None:
            lock.command = command
            lock.name_holder(this_process(command, by=this_author(folder.parent.parent.parent)))
            return lock
        if time.monotonic() >= deadline:
            raise _locked(folder, can_wait=wait is not None)
        time.sleep(_POLL_SECONDS)


def _try(folder: Path) -> ServiceLock | None:
    make_private_folder(folder)
    path = folder / LOCK_FILE
    descriptor = _above_standard_streams(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # delete-and-destroy removes the folder while it holds the lock: the file waited for may be unlinked by then,
    # while another process creates and locks a new one.
    if _is_same_file(descriptor, path):
        return ServiceLock(path, descriptor)
    os.close(descriptor)
    return None


def _above_standard_streams(descriptor: int) -> int:
    """Duplicate a descriptor if necessary, so that a child can't use it as its standard input, output or error."""
    if descriptor >= _FIRST_OWN_DESCRIPTOR:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_OWN_DESCRIPTOR)
    os.close(descriptor)
    return moved


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _locked(folder: Path, *, can_wait: bool) -> LockedError:
    found = holder(folder)
    by = f"'{found.command}' (process {found.pid} on {found.host}{_job(found)}, for {found.age()})" if found else _OTHER
    wait = "wait for it with --lock-wait 5m" if can_wait else "try again when it has ended"
    # A holder without a task, for example a refresh, can't be cancelled from here.
    end = f", or end it: dtk cancel-task {folder.name}" if found and found.task else ""
    return LockedError(f"service '{folder.name}' is locked by {by}", hint=wait + end)


_OTHER = "another process"


def _job(found: Holder) -> str:
    """Return the CI job that holds the lock, so that the user knows where to look."""
    return f", {found.by.job_url}" if found.by.job_url else ""


def adopt(folder: Path, descriptor: int) -> ServiceLock:
    """Take over the lock that this process inherited; its own children won't inherit it.

    Raises:
        LockedError: the descriptor is not that of the held lock, so this process must not write anything.
    """
    path = folder / LOCK_FILE
    try:
        os.set_inheritable(descriptor, False)
        # This succeeds for the inherited, locked file; for any other file it shows that somebody else holds the lock.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_held = _is_same_file(descriptor, path)
    except OSError:
        is_held = False
    if not is_held:
        raise LockedError(
            f"the lock of service '{folder.name}' was not handed over to this process",
            hint=f"start the task again: dtk apply {folder.name}",
        )
    return ServiceLock(path, descriptor)


def holder(folder: Path) -> Holder | None:
    """Return the holder of a service's lock, None if it is free; the leftover record of a dead process is ignored."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(os.pread(descriptor, 4096, 0))
    finally:
        os.close(descriptor)
    return None


def _read(text: bytes) -> Holder:
    try:
        document: Mapping[str, Any] = json.loads(text)
        return Holder(**{**document, "by": author_of(document.get("by"))})
    except (ValueError, TypeError, AttributeError):
        return Holder(0, "dtk", "?", datetime.now(UTC).isoformat(timespec="seconds"))

"""The process that uploads a task to the store: ``python -m dtk.store.shipper SOCKET``, with its job as JSON on stdin.

It follows the event log and the state, which the worker writes to this machine's disk, renews the lease, forwards
cancel requests, and reports when another process holds the service. It is a separate process, so that a stuck worker
can't stop the heartbeats, and so that the log of a killed worker is closed and its service released at once.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dtk.errors import DtkError
from dtk.events.recovery import close_orphaned_log
from dtk.state.store import journal_of, load_state, shared_text
from dtk.store.access import forget_key, publish_key
from dtk.store.commit import Barrier, Barriers, commit_state
from dtk.store.errors import DamagedError, FencedError, StoreError
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, Tools, take_up
from dtk.store.link import Lines, number
from dtk.store.mirror import head_now
from dtk.store.opening import open_access, open_objects
from dtk.store.segments import LogShipper, Shipped
from dtk.store.shipping import Job, job_of

SHIP_SECONDS = 2.0
"""Maximum delay of an upload in seconds; a follower elsewhere adds its own poll interval."""
CANCEL_SECONDS = 5.0
TICK_SECONDS = 0.5
FENCED_EXIT = 4


class StateTail:
    """The newest state on disk, read again only if one of its files has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: object = None
        self.serial = 0
        self.body = b""

    def look(self) -> bool:
        """Read the state if it changed; return whether it is newer than the last one."""
        found = [self._mark(path) for path in (self._path, journal_of(self._path))]
        if found == self._seen:
            return False
        state = load_state(self._path)
        self._seen = found
        if state is None or state.serial <= self.serial:
            return False
        self.serial, self.body = state.serial, shared_text(state, self._path.parent).encode()
        return True

    def _mark(self, path: Path) -> tuple[int, int, int] | None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


class Shipper:
    """The shipper of one task. It works in turns, so that two writes are never in progress at the same time."""

    def __init__(self, job: Job, lease: HeldLease, connection: socket.socket) -> None:
        self._job = job
        self._lease = lease
        self._connection = connection
        self._lines = Lines(connection)
        self._keys = ServiceKeys(job.service)
        self._log = LogShipper(lease.tools.objects, self._keys, job.task, Path(job.log), Shipped(job.segment, job.size))
        self._state = StateTail(Path(job.state))
        self._barriers = Barriers()
        self._shipped_at = self._cancel_at = lease.tools.clock()
        self._reported_until = 0.0
        self._trouble_since = ""
        self._cancelled = False
        self._worker_ended = False
        self._worker_gone = False
        self._destroyed = False
        self._has_published = False

    def run(self) -> int:
        """Upload until the task is over and everything is in the store; return the exit code."""
        try:
            while not self._worker_ended and not self._worker_gone:
                self._listen()
                self._guarded(self._turn)
            return self._finish()
        except (FencedError, DamagedError) as error:
            return self._fenced(error)

    def _turn(self) -> None:
        now = self._lease.tools.clock()
        if self._barriers or now - self._shipped_at >= SHIP_SECONDS:
            self._ship()
            self._shipped_at = now
        if self._lease.heartbeat_is_needed:
            self._lease.beat()
        self._tell_validity()
        if now - self._cancel_at >= CANCEL_SECONDS:
            self._cancel_at = now
            self._look_for_cancel()

    def _ship(self) -> None:
        # Upload the log first: a reader of a state can then read the events that led to it.
        self._log.ship()
        self._publish_key()
        self._state.look()
        if self._state.serial:
            commit_state(self._lease, self._state.serial, self._state.body)
        # Before a barrier lets the worker continue, the worker must know until when the lease is valid.
        self._tell_validity()
        for barrier in self._barriers.passed(self._lease.head.serial, self._log.shipped.size):
            self._lines.send(passed=barrier.number)

    def _publish_key(self) -> None:
        """Put the key that the task created into the store, before any machine gets its public half."""
        key = Path(self._job.key)
        if not self._has_published and self._job.key and key.exists():
            publish_key(open_access(self._job.settings), self._keys, key)
            self._has_published = True

    def _tell_validity(self) -> None:
        if self._lease.valid_until != self._reported_until:
            self._reported_until = self._lease.valid_until
            self._lines.send(valid_until=self._reported_until)

    def _look_for_cancel(self) -> None:
        key = self._keys.cancel(self._job.task, self._lease.head.epoch)
        if not self._cancelled and self._job.worker and self._lease.tools.objects.get(key) is not None:
            self._cancelled = True
            # The process id can't belong to another process: the worker's end of the socket is still open.
            with suppress(ProcessLookupError):
                os.kill(self._job.worker, signal.SIGTERM)

    def _guarded(self, turn: Callable[[], None]) -> bool:
        """Do a turn and return whether it succeeded; stop the worker if it failed and the lease has expired."""
        try:
            turn()
            self._trouble_since = ""
            return True
        except (FencedError, DamagedError):
            raise
        except StoreError as error:
            self._trouble_since = self._trouble_since or datetime.now(UTC).strftime("%H:%M:%S")
            sys.stderr.write(f"{error.message}\n")
            if not self._lease.is_valid and not self._worker_ended:
                reason = f"the store has been unreachable since {self._trouble_since} UTC: {error.message}"
                self._lines.send(stop=reason, kind="failed")
            return False

    def _listen(self) -> None:
        """Wait up to ``TICK_SECONDS`` for messages from the worker and handle them."""
        ready, _, _ = select.select([self._connection], [], [], TICK_SECONDS)
        if not ready:
            return
        messages = self._lines.receive()
        if messages is None:
            self._worker_gone = True
            return
        for message in messages:
            if "barrier" in message:
                self._barriers.add(Barrier(*(number(message, name) for name in ("barrier", "serial", "log_bytes"))))
            if "end" in message:
                self._worker_ended = True
                self._destroyed = bool(message["destroyed"])

    def _finish(self) -> int:
        """Upload the end of the task; close the log first if the worker was killed."""
        if self._worker_gone:
            close_orphaned_log(Path(self._job.log))
        until = self._lease.tools.clock() + 2 * self._lease.seconds
        while not self._guarded(self._last_turn):
            if self._lease.tools.clock() >= until:
                return 1
            self._lease.tools.sleep(SHIP_SECONDS)
        self._lines.send(ended=True)
        return 0

    def _last_turn(self) -> None:
        if self._lease.head.lease is None:
            return
        self._ship()
        self._log.finish()
        if self._destroyed:
            forget_key(open_access(self._job.settings), self._keys)
        self._lease.release(destroyed=self._destroyed)

    def _superseded(self) -> str:
        """Return a message that names the new holder of the service, "" if it can't be determined."""
        with suppress(DtkError):
            found = head_now(self._lease.tools.objects, self._job.service)
            if found is not None and not found.head.held_by(self._job.nonce):
                by = f": {found.head.lease}" if found.head.lease else ""
                return f"task {self._job.task} is superseded by another holder of '{self._job.service}'{by}"
        return ""

    def _fenced(self, error: DtkError) -> int:
        """Notify the worker and stay until it has ended: this process holds the service's lock on this machine."""
        reason = self._superseded() or error.message
        self._lines.send(stop=reason, kind="fenced")
        sys.stderr.write(f"{reason}\n")
        while self._lines.receive() is not None:
            pass
        with suppress(FileNotFoundError):
            close_orphaned_log(Path(self._job.log))
        return FENCED_EXIT


def main(arguments: list[str]) -> int:
    """Upload one task."""
    for one in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # A signal that ends the worker must not interrupt the upload: this process ends when everything is uploaded.
        signal.signal(one, signal.SIG_IGN)
    os.umask(0o077)
    job = job_of(sys.stdin.read())
    connection = socket.socket(fileno=int(arguments[0]))
    try:
        lease = take_up(Tools(open_objects(job.settings), sleep=time.sleep), job.service, job.nonce)
    except FencedError as error:
        Lines(connection).send(stop=error.message, kind="fenced")
        return FENCED_EXIT
    return Shipper(job, lease, connection).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

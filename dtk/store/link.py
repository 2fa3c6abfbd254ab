"""The link between a task's worker and its shipper: lines of JSON over a pair of sockets.

The worker sends ``barrier`` (what it waits for) and ``end`` (it is done). The shipper sends ``valid_until`` (by the
clock that both share), ``passed`` (a barrier), ``stop`` (with the reason) and ``ended``. When one of them dies, the
other reads end of file.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from dtk.model.json_data import Json, JsonObject
from dtk.store.clock import Clock, since_boot
from dtk.store.errors import StoreError

StopReason = Literal["failed", "fenced"]
SETTLE_SECONDS = 30.0
"""How long a finished task waits for the store before it reports its result, in seconds."""
_WAIT_SECONDS = 1.0
_CHUNK = 65536


class Lines:
    """Messages over a socket; only complete lines are decoded."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self._sending = threading.Lock()

    def send(self, **message: Json) -> bool:
        """Send a message; return whether the other side is still connected."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")
            return True
        return False

    def receive(self) -> list[JsonObject] | None:
        """Wait for data and return the complete messages received so far; None if the other side has closed."""
        try:
            data = self._connection.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


def number(message: JsonObject, name: str) -> int:
    """Return an integer field of a message, 0 if it is missing."""
    value = message.get(name)
    return value if isinstance(value, int) else 0


class WorkerLink:
    """The worker's end of the link: waits at barriers and knows whether the task may still start anything."""

    def __init__(
        self, connection: socket.socket, on_stop: Callable[[str, StopReason], None], clock: Clock = since_boot
    ):
        """Create the worker's end of a pair.

        Args:
            connection: the socket.
            on_stop: called when nothing more may be started, with the reason as text and its kind.
            clock: the clock that the shipper uses, too.
        """
        self._lines = Lines(connection)
        self._on_stop = on_stop
        self._clock = clock
        self._valid_until = 0.0
        self._passed = 0
        self._asked = 0
        self._ended = False
        self._changed = threading.Condition()
        self.stopped = ""
        self.is_fenced = False
        self._has_verdict = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Check that no other process can hold the service by now.

        Raises:
            StoreError: another process may hold it; nothing new may be started.
        """
        if not self.stopped and self._valid_until and self._clock() >= self._valid_until:
            self._stop("the store has been unreachable for so long that another process may lock the service", "failed")
        if self.stopped:
            raise StoreError(self.stopped)

    def barrier(self, serial: int, log_bytes: int = 0) -> None:
        """Wait until a state, and the log up to a size in bytes, are in the store.

        Raises:
            StoreError: they cannot be stored, or another process holds the service.
        """
        number = self._ask(serial, log_bytes)
        self._wait(lambda: self._passed >= number)

    def settle(self, serial: int, log_bytes: int) -> None:
        """Wait a limited time until a state and the log up to a size are in the store, or the store's verdict is clear.

        Unlike at a barrier, nothing unsafe follows, so an expired lease is no reason to stop waiting for the store's
        verdict. ``stopped`` has the outcome.
        """
        number = self._ask(serial, log_bytes)
        until = self._clock() + SETTLE_SECONDS
        while self._passed < number and not self._has_verdict and self._clock() < until:
            with self._changed:
                self._changed.wait(_WAIT_SECONDS)

    def end(self, *, destroyed: bool) -> None:
        """Report that the task is done, and wait until everything is in the store and the service is released.

        Raises:
            StoreError: the end cannot be stored; everything is still on this machine's disk.
        """
        self._lines.send(end=True, destroyed=destroyed)
        while not (self._ended or self.is_fenced) and self._reader.is_alive():
            with self._changed:
                self._changed.wait(_WAIT_SECONDS)
        if not self._ended:
            raise StoreError(
                self.stopped or "the task's end is not in the store: the process that uploads it has ended"
            )

    def _ask(self, serial: int, log_bytes: int) -> int:
        """Send a barrier to the shipper; return its number."""
        with self._changed:
            self._asked += 1
            number = self._asked
        self._lines.send(barrier=number, serial=serial, log_bytes=log_bytes)
        return number

    def _wait(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            self.check()
            with self._changed:
                if not is_done():
                    self._changed.wait(_WAIT_SECONDS)

    def _read(self) -> None:
        while (messages := self._lines.receive()) is not None:
            for message in messages:
                self._take(message)
            with self._changed:
                self._changed.notify_all()
        self._has_verdict = True
        if not self._ended:
            self._stop("the process that uploads this task to the store has ended", "failed")

    def _take(self, message: JsonObject) -> None:
        if isinstance(until := message.get("valid_until"), float):
            self._valid_until = until
        self._passed = max(self._passed, number(message, "passed"))
        self._ended = self._ended or "ended" in message
        if "stop" in message:
            self._has_verdict = True
            self._stop(str(message["stop"]), "fenced" if message.get("kind") == "fenced" else "failed")

    def _stop(self, reason: str, kind: StopReason) -> None:
        # Losing the service to another holder is worse than a store that did not respond for a while: keep that reason.
        if self.stopped and (kind != "fenced" or self.is_fenced):
            return
        self.stopped, self.is_fenced = reason, kind == "fenced"
        with self._changed:
            self._changed.notify_all()
        self._on_stop(reason, kind)


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the worker's end and the shipper's end, to be inherited; close both in this process afterwards."""
    worker, shipper = socket.socketpair()
    try:
        yield worker, shipper
    finally:
        worker.close()
        shipper.close()

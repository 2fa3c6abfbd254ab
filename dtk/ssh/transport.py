"""The transport of a connection to a node: it waits for its turn to log in, and a machine that floods ends it."""

from __future__ import annotations

import socket
import time

import gevent
import paramiko
from gevent.lock import Semaphore

LOGINS_AT_ONCE = 32
"""Key exchanges and logins that go on at once. They need the processor: 300 at once would take it from each other until
all of them had run out of time, and begun again."""
LONGEST_GREETING = 64 * 1024
"""Bytes that may come before a machine says that it speaks SSH; what sends more is something else."""
_READS_A_TURN = 16
_turns = Semaphore(LOGINS_AT_ONCE)


class Attempt:
    """One try to get to a machine, in the greenlet that makes it: it ends that greenlet's wait when time is up.

    The machine has the time once to say that it speaks SSH, and once for each login from there. Waiting for the turn to
    log in counts for neither.
    """

    def __init__(self, seconds: float, overall: float) -> None:
        """Say how many seconds each part of the try has, and the whole of it, without the waiting."""
        self.waited = 0.0
        """Seconds for which it has waited for its turn."""
        self._seconds, self._end = seconds, time.monotonic() + overall
        self.is_short = overall < seconds
        """Whether the end of all tries ends this one."""
        self._greenlet = gevent.getcurrent()
        self._timer = gevent.get_hub().loop.timer(0)
        self._has_turn = self._is_over = False

    def __enter__(self) -> Attempt:
        """Begin."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the time, and the turn."""
        self._is_over = True
        self._timer.close()
        self.end_turn()

    def _start(self) -> None:
        seconds = max(min(self._seconds, self._end + self.waited - time.monotonic()), 0.1)
        self._timer.close()
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._greenlet.throw, TimeoutError(f"no answer within {seconds:.0f} s"))

    def take_turn(self) -> None:
        """Wait until this login may go on; called by the transport, in a greenlet of its own.

        Raises:
            EOFError: the try is over.
        """
        self._timer.close()
        since = time.monotonic()
        _turns.acquire()
        if self._is_over:
            _turns.release()
            raise EOFError
        self._has_turn = True
        self.waited += time.monotonic() - since
        self._start()

    def end_turn(self) -> None:
        """Let another login go on, when this one has had its turn."""
        if self._has_turn:
            self._has_turn = False
            _turns.release()


class FairSocket:
    """A connection whose reader gives others their turn: a machine that sends without end would never let them have it.

    Where bytes are there already, gevent's own socket returns them at once; then no other node's work goes on, and no
    time runs out.
    """

    def __init__(self, connection: socket.socket | paramiko.Channel) -> None:
        self._connection = connection
        self._reads = 0
        self.bytes_before_greeting: int | None = 0
        """Bytes that came so far; None once the machine has said that it speaks SSH."""

    def recv(self, size: int) -> bytes:
        """Read what is there, at most so many bytes."""
        self._reads += 1
        if self._reads % _READS_A_TURN == 0:
            gevent.sleep(0)
        read = self._connection.recv(size)
        if self.bytes_before_greeting is not None:
            self.bytes_before_greeting += len(read)
            if self.bytes_before_greeting > LONGEST_GREETING:
                raise EOFError
        return read

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


class Transport(paramiko.ServiceRequestingTransport):  # type: ignore[name-defined,misc] # not in its stubs
    """A transport that waits for its turn, and remembers what the server said when it ended the connection.

    Paramiko's usual one begins anew for each key, which strict servers end the connection for.
    """

    farewell = ""

    def __init__(self, connection: socket.socket | paramiko.Channel, attempt: Attempt, **arguments: object) -> None:
        self._attempt, self._fair = attempt, FairSocket(connection)
        super().__init__(self._fair, **arguments)

    def _check_banner(self) -> None:
        try:
            super()._check_banner()
        except paramiko.SSHException as error:
            if (self._fair.bytes_before_greeting or 0) > LONGEST_GREETING:
                raise paramiko.SSHException("what it sends is not SSH") from error
            raise
        self._fair.bytes_before_greeting = None
        self._attempt.take_turn()

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.farewell = message.get_text()

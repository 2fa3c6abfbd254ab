"""The transport of a connection to a node: limits concurrent logins and disconnects a machine that floods it."""

from __future__ import annotations

import socket
import time
from threading import Event

import gevent
import paramiko
from gevent.lock import Semaphore
from paramiko.common import cMSG_GLOBAL_REQUEST

LOGINS_AT_ONCE = 32
"""Maximum number of concurrent key exchanges and logins. They are CPU-bound: 300 at once would slow each other down
until all of them timed out and started again."""
LONGEST_GREETING = 64 * 1024
"""Bytes that may come before the SSH banner; a peer that sends more does not speak SSH."""
_READS_A_TURN = 16
_LATE_SECONDS = 0.5
"""If a timer fires later than this after its time, this process did not get to read answers either."""
_LOOK_SECONDS = 10.0
"""How often a connection on which nothing arrives looks whether it is still wanted. Closing it wakes it, too. With
paramiko's 0.1 s, 3,000 idle connections keep a core busy."""
_turns = Semaphore(LOGINS_AT_ONCE)


class SilenceError(TimeoutError):
    """Nothing answered at a machine's address, not even its system, which answers however busy the machine is."""


class Attempt:
    """One attempt to connect, in the greenlet that makes it: a timer interrupts that greenlet when time is up.

    The machine has the full time to send its SSH banner, and again for each login. Waiting for the turn to log in
    counts for neither. Its system may have less time to accept the connection.
    """

    def __init__(self, seconds: float, overall: float, silent: float) -> None:
        """Set the time limits in seconds.

        Args:
            seconds: for each part of the attempt.
            overall: for all of it, without the time spent waiting for a turn.
            silent: until the machine's system accepts the connection.
        """
        self.waited = 0.0
        """Seconds spent waiting for a turn."""
        self._seconds, self._silent, self._end = seconds, silent, time.monotonic() + overall
        self.is_short = overall < seconds
        """Whether the overall deadline, not the attempt's own time, ends this attempt."""
        self._greenlet = gevent.getcurrent()
        self._timer = gevent.get_hub().loop.timer(0)
        self._due, self._error = 0.0, TimeoutError()
        self._has_turn = self._is_over = False

    def __enter__(self) -> Attempt:
        """Start the timer."""
        self.connecting()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the timer and give up the turn."""
        self._is_over = True
        self._timer.close()
        self.end_turn()

    def connecting(self) -> None:
        """Start the time in which a machine's system must accept a connection."""
        if self._silent < self._seconds:
            self._start(self._silent, SilenceError("nothing answers there"))
        else:
            self._start(self._seconds)

    def connected(self) -> None:
        """Start the time for the SSH banner; the transport calls it once there is a connection."""
        self._start(self._seconds)

    def _start(self, seconds: float, error: TimeoutError | None = None) -> None:
        left = self._end + self.waited - time.monotonic()
        # Cut short by the overall deadline, silence proves nothing.
        error = error if left >= seconds else None
        seconds = max(min(seconds, left), 0.1)
        self._error = error or TimeoutError(f"no answer within {seconds:.0f} s")
        self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        self._due = time.monotonic() + seconds
        self._timer.close()
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._end_attempt)

    def _end_attempt(self) -> None:
        if time.monotonic() - self._due > _LATE_SECONDS:
            # This process was busy: an answer may have come, and is read before the timer fires again.
            self._set_timer(_LATE_SECONDS)
        else:
            self._greenlet.throw(self._error)

    def take_turn(self) -> None:
        """Wait until this login may proceed; the transport calls it in its own greenlet.

        Raises:
            EOFError: the attempt is over.
        """
        self._timer.close()
        since = time.monotonic()
        _turns.acquire()
        if self._is_over:
            _turns.release()
            raise EOFError
        self._has_turn = True
        self.waited += time.monotonic() - since
        self._start(self._seconds)

    def end_turn(self) -> None:
        """Let another login proceed if this one has the turn."""
        if self._has_turn:
            self._has_turn = False
            _turns.release()


class FairSocket:
    """A connection whose reader yields to other greenlets: a machine that sends without end would starve them.

    gevent's own socket returns available bytes at once and does not yield, so that no other node's work would proceed
    and no timer would fire.
    """

    def __init__(self, connection: socket.socket | paramiko.Channel) -> None:
        self._connection = connection
        self._reads = 0
        self.received = 0
        """Bytes received so far."""
        self.bytes_before_greeting: int | None = 0
        """Bytes received so far; None once the machine has sent its SSH banner."""

    def recv(self, size: int) -> bytes:
        """Read available bytes, at most ``size``."""
        self._reads += 1
        if self._reads % _READS_A_TURN == 0:
            gevent.sleep(0)
        read = self._connection.recv(size)
        self.received += len(read)
        if self.bytes_before_greeting is not None:
            self.bytes_before_greeting += len(read)
            if self.bytes_before_greeting > LONGEST_GREETING:
                raise EOFError
        return read

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)


class Transport(paramiko.ServiceRequestingTransport):  # type: ignore[name-defined,misc] # not in its stubs
    """A transport that waits for its turn to log in, and keeps the server's disconnect message.

    Paramiko's default transport restarts the authentication for each key, and strict servers disconnect because of it.
    """

    farewell = ""
    _active_check_timeout = _LOOK_SECONDS

    def __init__(self, connection: socket.socket | paramiko.Channel, attempt: Attempt, **arguments: object) -> None:
        self._attempt, self._fair = attempt, FairSocket(connection)
        attempt.connected()
        super().__init__(self._fair, **arguments)

    @property
    def received(self) -> int:
        """Bytes received from the machine so far."""
        return self._fair.received

    def start_client(self, event: Event | None = None, timeout: float | None = None) -> None:
        """Negotiate with the server; the attempt's timer limits the time.

        Paramiko would look ten times a second whether it is done, also for each of the logins that wait for their turn.
        """
        done = Event()
        super().start_client(event or done, timeout)
        if event is None:
            done.wait()
            if not self.is_active():
                raise self.get_exception() or paramiko.SSHException("the key exchange failed")

    def stop_thread(self) -> None:
        """End the connection's own greenlet, and everything that waits for a reply of the server."""
        # Before paramiko's part as well: over a jump host, that sends, and waits while the jump host does not read.
        self.active = False
        self._wake_all()
        super().stop_thread()
        self._wake_all()

    def _wake_all(self) -> None:
        for event in [self.completion_event, *self.channel_events.values()]:
            if event is not None:
                event.set()

    def ask_for_reply(self) -> None:
        """Send a request, and wait until the server has replied to it or the connection has ended.

        Paramiko would look ten times a second whether it has. Only one request may be pending.
        """
        self.completion_event = replied = Event()
        message = paramiko.Message()
        message.add_byte(cMSG_GLOBAL_REQUEST)
        message.add_string("keepalive@openssh.com")
        message.add_boolean(True)
        self._send_user_message(message)
        if self.is_active():
            replied.wait()

    def _check_banner(self) -> None:
        try:
            super()._check_banner()
        except paramiko.SSHException as error:
            if (self._fair.bytes_before_greeting or 0) > LONGEST_GREETING:
                raise paramiko.SSHException("the program that listens there is not an SSH server") from error
            raise
        self._fair.bytes_before_greeting = None
        self._attempt.take_turn()

    def _parse_disconnect(self, message: paramiko.Message) -> None:
        message.get_int()
        self.farewell = message.get_text()

"""The streams of a ``proxy_command`` program that leads to a machine, as a socket for SSH."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import gevent
from gevent.lock import Semaphore

from dtk.errors import DtkError

_LAST_WORDS = 4096
"""Bytes of the program's latest error output that are kept."""
_END_SECONDS = 2.0


class ProxySocket:
    """A running program as a socket: sent bytes go to its input, its output is received. Closing it ends both."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start the program.

        Raises:
            DtkError: the program does not exist or can't be run.
        """
        self._socket, its = socket.socketpair()
        self._errors, its_errors = socket.socketpair()
        self._said = self._said_before = b""
        self._is_over = self._has_received = False
        self._noting = Semaphore()
        self._own_code: int | None = None
        for end in (its, its_errors):
            # The program expects blocking streams; the ends on this side are gevent's, which never block.
            os.set_blocking(end.fileno(), True)
        try:
            # In its own session: the task handles ^C in the terminal, and the whole process group can be ended.
            self._process = subprocess.Popen(
                list(words), stdin=its.fileno(), stdout=its.fileno(), stderr=its_errors.fileno(), start_new_session=True
            )
        except OSError as error:
            self._socket.close()
            self._errors.close()
            raise DtkError(
                f"proxy_command: the program {words[0]} can't be run: {error.strerror}",
                hint=f"install it, or correct proxy_command in dtk.yaml: {words[0]}",
            ) from None
        finally:
            its.close()
            its_errors.close()
        self._listener = gevent.spawn(self._listen)

    def _listen(self) -> None:
        # Read until nobody holds the other end: a program that prints a lot must not block on a full pipe.
        with suppress(OSError):
            while chunk := self._errors.recv(_LAST_WORDS):
                self._said = (self._said + chunk)[-_LAST_WORDS:]

    def recv(self, *arguments: int) -> bytes:
        """Receive from the program; the arguments are those of a socket's ``recv``."""
        received = self._socket.recv(*arguments)
        self._has_received |= bool(received)
        return received

    @property
    def found_no_way(self) -> bool:
        """Whether the program has ended by itself without anything from the machine; valid after ``last_words``."""
        return self._own_code is not None and not self._has_received

    def last_words(self, failure: str) -> str:
        """Return why there is no connection: the exit code if the program ended by itself, else the given failure.

        The program's last line of error output follows.
        """
        self._note_end()
        self._listener.join(_END_SECONDS)
        printed = self._said_before if self._own_code is None else self._said
        lines = [line.strip() for line in printed.decode(errors="replace").splitlines() if line.strip()]
        said = lines[-1] if lines else ""
        if self._own_code is None:
            return f"{failure}; the proxy command printed: {said}" if said else failure
        return ": ".join(part for part in (f"the proxy command ended with code {self._own_code}", said) if part)

    def _note_end(self) -> None:
        """Note the exit code if the program has ended by itself, before dtk ends it."""
        # Paramiko closes this socket in a greenlet of its own.
        with self._noting:
            if self._is_over:
                return
            # A program closes its streams a moment before it has ended.
            if self._has_hung_up():
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_END_SECONDS)
            self._own_code = self._process.poll()
            # What it prints when dtk ends it is not a reason.
            self._said_before = self._said
            self._is_over = True

    def _has_hung_up(self) -> bool:
        try:
            self._socket.settimeout(0)
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """End the program and all processes that it started."""
        self._note_end()
        self._socket.close()
        for one in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, one)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
        self._errors.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)

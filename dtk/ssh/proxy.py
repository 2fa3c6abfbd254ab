"""The streams of a program that leads to a machine (``proxy_command``), as a socket that SSH is spoken over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import gevent

from dtk.errors import DtkError

_LAST_WORDS = 4096
"""Bytes of what the program said at last that are kept."""
_END_SECONDS = 2.0


class ProxySocket:
    """A program that runs; what is sent it reads, what it writes is received. It ends when this is closed."""

    def __init__(self, words: Sequence[str]) -> None:
        """Start the program.

        Raises:
            DtkError: there is no such program, or it can't be run.
        """
        self._socket, its = socket.socketpair()
        self._errors, its_errors = socket.socketpair()
        self._said = b""
        for end in (its, its_errors):
            # The program's ends wait, as it expects; those here are gevent's, which never do.
            os.set_blocking(end.fileno(), True)
        try:
            # In a session of its own: ^C in the terminal is the task's to handle, and all that it starts ends with it.
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
        # Until nobody holds the other end: a program that says much must not have to wait for a reader.
        with suppress(OSError):
            while chunk := self._errors.recv(_LAST_WORDS):
                self._said = (self._said + chunk)[-_LAST_WORDS:]

    def last_words(self) -> str:
        """Return how the program ended and what it said at last; "" while it runs and has said nothing."""
        self._listener.join(_END_SECONDS)
        code = self._process.poll()
        lines = [line.strip() for line in self._said.decode(errors="replace").splitlines() if line.strip()]
        said = lines[-1] if lines else ""
        ended = f"the proxy command ended with code {code}" if code is not None else ""
        return ": ".join(part for part in (ended, said) if part)

    def close(self) -> None:
        """End the program and all that it started."""
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

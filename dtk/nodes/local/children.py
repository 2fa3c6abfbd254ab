"""The server's child processes: each has its own session, and one handler reaps them and adopted orphans."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Child:
    """A running command; ``exit`` becomes its exit code, or the negative number of the signal that ended it."""

    process: subprocess.Popen[bytes]
    exit: asyncio.Future[int]


@dataclass(frozen=True)
class StandardStreams:
    """A command's stdin, stdout and stderr: descriptors, or ``subprocess.PIPE``."""

    stdin: int
    stdout: int
    stderr: int


class Children:
    """Starts commands and detects their end. Only one per process: nothing else may wait for children."""

    def __init__(self, home: str, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = environment
        self._running: dict[int, Child] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        streams: StandardStreams,
        first: Callable[[], None] | None = None,
    ) -> Child:
        """Start a program in the node's home; ``first`` runs in the child before the program does.

        Raises:
            OSError: it could not be started.
        """
        process = subprocess.Popen(
            arguments,
            cwd=self._home,
            env={**self._environment, **environment},
            start_new_session=True,
            bufsize=0,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            preexec_fn=first,  # noqa: PLW1509 - the server has one thread
        )
        child = Child(process, self._loop.create_future())
        # The event loop runs _reap only between callbacks: even an exit before this line is handled after it.
        self._running[process.pid] = child
        return child

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._running.pop(pid, None)
            if child is not None:
                # Set here, so that Popen never waits for a process that is already reaped.
                child.process.returncode = os.waitstatus_to_exitcode(status)
                if not child.exit.done():
                    child.exit.set_result(child.process.returncode)

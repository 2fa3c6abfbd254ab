"""A worker that is started before its task is known: it loads its modules while the plan is made.

It holds no lock and knows no plan until it receives its task over a socket, together with the lock's descriptor.
Meanwhile it may be asked to run a script on machines, and keeps the connections for the task. If the socket is closed
without a task, it exits without having done anything else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dtk.state.workspace import Workspace

WORKER = "dtk.apply.worker"
CANCEL_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_MESSAGE_BYTES = 65536


class WorkerAhead:
    """A worker that waits for its task of a service; ``process`` is its process."""

    def __init__(self, workspace: Workspace, service: str) -> None:
        self.workspace = workspace
        self.service = service
        # The arguments let anyone who reads a process list recognize it as a worker of this service.
        tasks = workspace.service_folder(service) / "tasks"
        self._mine, its = socket.socketpair()
        with its:
            self.process = spawn([str(tasks), str(its.fileno())], workspace, subprocess.DEVNULL, [its.fileno()])

    def ask(self, question: str, seconds: float) -> str | None:
        """Have the worker run a script on machines, and keep its connections to them for the task.

        Args:
            question: the script and the machines, as one line (``dtk.ssh.question``).
            seconds: how long to wait for the answers.

        Returns:
            The answers as a line of JSON, None if the worker is gone.
        """
        self._mine.settimeout(seconds)
        try:
            self._mine.sendall(question.encode() + b"\n")
            with self._mine.makefile("r", encoding="utf-8") as answers:
                return answers.readline() or None
        except OSError:
            # It may still be asking: a task must not be given to it.
            self.end()
            return None
        finally:
            if self._mine.fileno() >= 0:
                self._mine.settimeout(None)

    def begin(self, folder: Path, lock: int, words: list[str], log: int, asked: int) -> bool:
        """Send the worker its task.

        Args:
            folder: the task's folder.
            lock: the descriptor of the service's lock, which is held.
            words: the worker's further arguments: the command that holds the lock, the executor.
            log: the descriptor of the file for the worker's output.
            asked: the descriptor from which it reads the passphrases that the user entered.

        Returns:
            Whether the worker was still there to receive it.
        """
        message = json.dumps([str(folder), *words]).encode()
        try:
            socket.send_fds(self._mine, [message], [lock, log, asked])
        except OSError:
            return False
        finally:
            self._mine.close()
        return True

    def end(self) -> None:
        """End a worker without a task; one that has a task continues."""
        if self._mine.fileno() >= 0:
            self._mine.close()
            # It may still be loading modules.
            self.process.kill()
            self.process.wait()


@contextmanager
def worker_ahead(
    workspace: Workspace, service: str, early: WorkerAhead | None = None, *, wanted: bool
) -> Iterator[WorkerAhead | None]:
    """Provide a worker that waits for a service's task until the end of the block, or None if not wanted.

    ``early`` is one that has already been started for the service.
    """
    if not wanted:
        if early:
            early.end()
        yield None
        return
    worker = early or WorkerAhead(workspace, service)
    try:
        yield worker
    finally:
        worker.end()


def spawn(
    words: list[str], workspace: Workspace, output: int, descriptors: list[int], asked: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a worker in its own session with these arguments and descriptors; ``asked`` is its standard input."""
    # Signals stay pending until it can handle them: a task cancelled at once is cancelled, not killed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CANCEL_SIGNALS)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, *words],
            stdin=asked,
            stdout=output,
            stderr=output,
            cwd=workspace.root,
            start_new_session=True,
            pass_fds=descriptors,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_for_task(descriptor: int, answer: Callable[[str], str]) -> list[str]:
    """Return the arguments of a normally started worker once the task arrives, [] if there is no task.

    Redirect the worker's output to the task's file.

    Args:
        descriptor: the socket of the process that started this one.
        answer: returns the line that answers a question's line.
    """
    with socket.socket(fileno=descriptor) as told:
        message, received, *_ = socket.recv_fds(told, _MESSAGE_BYTES, 3)
        while message and not received:
            while not message.endswith(b"\n"):
                more = told.recv(_MESSAGE_BYTES)
                if not more:
                    return []
                message += more
            told.sendall(answer(message.decode()).encode() + b"\n")
            message, received, *_ = socket.recv_fds(told, _MESSAGE_BYTES, 3)
        if not message:
            return []
        while more := told.recv(_MESSAGE_BYTES):
            message += more
    lock, log, asked = received
    for one, stream in ((asked, 0), (log, 1), (log, 2)):
        os.dup2(one, stream)
    os.close(log)
    os.close(asked)
    folder, *words = json.loads(message)
    return [folder, str(lock), *words]

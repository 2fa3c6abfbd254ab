"""A task's worker that is started before its task is known: it loads what it needs while the plan is made.

It holds no lock and knows no plan until it is told its task, over a socket that carries the lock's descriptor as well.
When the socket is closed without a task, it ends and has done nothing.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dtk.state.workspace import Workspace

WORKER = "dtk.apply.worker"
CANCEL_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_MESSAGE_BYTES = 65536


class WorkerAhead:
    """A worker that waits for its task; ``process`` is its process."""

    def __init__(self, workspace: Workspace, service: str) -> None:
        # The words are those of a worker of this service to whoever looks for one in a list of processes.
        tasks = workspace.service_folder(service) / "tasks"
        self._mine, its = socket.socketpair()
        with its:
            self.process = spawn([str(tasks), str(its.fileno())], workspace, subprocess.DEVNULL, [its.fileno()])

    def begin(self, folder: Path, lock: int, command: str, log: int, asked: int) -> bool:
        """Tell the worker its task.

        Args:
            folder: the task's folder.
            lock: the descriptor of the service's lock, which is held.
            command: what it is held for.
            log: the descriptor of the file that the worker's output goes to.
            asked: the descriptor that it reads from what a person was asked for.

        Returns:
            Whether the worker was there to be told.
        """
        message = json.dumps([str(folder), command]).encode()
        try:
            socket.send_fds(self._mine, [message], [lock, log, asked])
        except OSError:
            return False
        finally:
            self._mine.close()
        return True

    def end(self) -> None:
        """End a worker that was told nothing; one that has a task goes on."""
        if self._mine.fileno() >= 0:
            self._mine.close()
            # It may still be loading, for nothing.
            self.process.kill()
            self.process.wait()


@contextmanager
def worker_ahead(workspace: Workspace, service: str, *, wanted: bool) -> Iterator[WorkerAhead | None]:
    """Give a worker that waits for a task of a service until the end of the block; None where none is wanted."""
    if not wanted:
        yield None
        return
    worker = WorkerAhead(workspace, service)
    try:
        yield worker
    finally:
        worker.end()


def spawn(
    words: list[str], workspace: Workspace, output: int, descriptors: list[int], asked: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own, with more words and more descriptors; it reads ``asked``."""
    # It keeps signals waiting until it can handle them: a task cancelled at once is cancelled, not killed.
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


def wait_for_task(descriptor: int) -> list[str]:
    """Return the arguments that a worker would have been started with, [] when there is no task for it.

    From then on its output goes to the task's file.
    """
    with socket.socket(fileno=descriptor) as told:
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
    folder, command = json.loads(message)
    return [folder, str(lock), command]

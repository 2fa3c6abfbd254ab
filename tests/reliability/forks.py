"""Runs dtk's commands and workers as forks of processes that have already imported it, which saves Python's start.

As in production, each command and each worker is a separate process, with dtk's own entry point, session, streams, lock
and signals. The differences: its modules are already imported, and it is the child of a test's process.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.reliability import killer

WORKER_SERVER, RUNNING = "DTK_TEST_WORKER_SERVER", "DTK_TEST_RUNNING"
_NOTHING = b"nothing"


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit code (negative for a signal) and its output."""

    code: int
    output: str


def run_command(
    root: Path, words: Sequence[str], environment: Mapping[str, str], running: Path, seconds: float | None
) -> Ran:
    """Run a command in a fork.

    Args:
        root: the workspace; the output goes to a file beside it.
        words: the command line without ``dtk``.
        environment: additional variables; killer.py defines ``KILLER_ROLE`` and ``KILLER_POINT``.
        running: gets a file for each running worker.
        seconds: kill the process of the role after this time; None means never.
    """
    output = root.parent / "command.log"
    environment = {**environment, RUNNING: str(running)}
    pid = os.fork()
    if not pid:
        _as_process(lambda: _command(root, words, environment, output))
    if seconds is not None:
        time.sleep(seconds)
        is_worker = environment.get("KILLER_ROLE") == "worker"
        for victim in [int(mark.name) for mark in running.iterdir() if mark.name.isdigit()] if is_worker else [pid]:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return Ran(os.waitstatus_to_exitcode(status), output.read_text(errors="replace"))


def _as_process(work: Callable[[], int]) -> None:
    """Do a fork's work and end the process: a fork must never return into the test."""
    code = 70
    try:
        code = work()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        killer.write_count()
        os._exit(code)


def _streams(descriptor: int) -> None:
    """Give this process its own standard streams: empty input, and all output in one file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, descriptor, descriptor)):
        os.dup2(source, number)
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115 - open until the process ends
        for number, mode in enumerate(("r", "w", "w"))
    )


def _command(root: Path, words: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
    os.setsid()
    os.chdir(root)
    _streams(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    os.environ.update({"COLUMNS": "200", **environment})
    from dtk.__main__ import run  # noqa: PLC0415
    from dtk.apply import worker_ahead  # noqa: PLC0415
    from dtk.cli import running  # noqa: PLC0415

    # Replaced only where dtk starts workers; other programs, such as git, start as usual.
    setattr(worker_ahead, "subprocess", SimpleNamespace(Popen=_HandedOver, DEVNULL=subprocess.DEVNULL))  # noqa: B010
    # A forked worker has everything loaded already.
    setattr(running, "worker_ahead", lambda *_, **__: nullcontext())  # noqa: B010
    os.umask(0o022)
    killer.arm("command")
    return run(list(words))


class _HandedOver:
    """Replaces ``subprocess.Popen`` where dtk starts its worker: the worker server forks the worker instead."""

    def __init__(self, words: Sequence[str], *, stdout: int, cwd: Path, pass_fds: Sequence[int], **_: Any) -> None:
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.connect(os.environ[WORKER_SERVER])
        kept = {name: value for name, value in os.environ.items() if name.startswith(("KILLER_", "AWS_"))}
        request = {"words": list(words[4:]), "cwd": str(cwd), "environment": kept, "running": os.environ[RUNNING]}
        socket.send_fds(self._server, [json.dumps(request).encode()], [stdout, *pass_fds])
        self.pid = int(self._server.recv(64).decode().partition("\n")[0])
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the worker's exit code."""
        self._server.settimeout(timeout)
        self.returncode = int(self._server.recv(64) or b"1")
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code if it is known."""
        return self.returncode


def serve_workers(path: Path) -> None:
    """Fork a worker for each request that arrives on a socket; never return."""
    import dtk.apply.worker  # noqa: F401, PLC0415 - imported before the forks, and patches what blocks

    listening = _plain_socket()
    listening.bind(str(path))
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for number in itertools.count():
        connection, _ = listening.accept()
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 8)
        if message == _NOTHING:
            connection.sendall(message)
        elif message:
            request = json.loads(message)
            mark = Path(request["running"]) / f"supervisor-{number}"
            mark.touch()
            if not _plain_fork():
                listening.close()
                _supervise(request, descriptors, connection, mark)
        connection.close()
        for descriptor in descriptors:
            os.close(descriptor)


def _plain_socket() -> socket.socket:
    from gevent import monkey  # noqa: PLC0415

    made: socket.socket = monkey.get_original("socket", "socket")(socket.AF_UNIX, socket.SOCK_STREAM)
    return made


def _plain_fork() -> int:
    from gevent import monkey  # noqa: PLC0415

    pid: int = monkey.get_original("os", "fork")()
    return pid


def wait_for_requests() -> None:
    """Return once every worker requested so far has its mark, even if the requesting command was killed since."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(os.environ[WORKER_SERVER])
        connection.sendall(_NOTHING)
        connection.recv(64)


def _supervise(
    request: Mapping[str, Any], descriptors: Sequence[int], connection: socket.socket, own_mark: Path
) -> None:
    """Fork the worker, send its process id and later its exit code."""
    from gevent import monkey  # noqa: PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = _plain_fork()
    if not pid:
        connection.close()
        _as_process(lambda: _worker(request, descriptors))
    mark = Path(request["running"]) / str(pid)
    mark.touch()
    for descriptor in descriptors:  # this includes the lock, which must be free as soon as its worker has ended
        os.close(descriptor)
    with suppress(OSError):  # the command may have been killed
        connection.sendall(f"{pid}\n".encode())
    _, status = monkey.get_original("os", "waitpid")(pid, 0)
    mark.unlink()
    own_mark.unlink()
    with suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _worker(request: Mapping[str, Any], descriptors: Sequence[int]) -> int:
    import gevent  # noqa: PLC0415

    gevent.reinit()
    gevent.get_hub().loop.update_now()  # else time limits would count from when the server last read the clock
    os.setsid()
    os.chdir(request["cwd"])
    output, lock = descriptors
    _streams(output)
    os.environ.update(request["environment"])
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    from dtk.apply.worker import main  # noqa: PLC0415

    words = list(request["words"])
    words[1] = str(lock)
    killer.arm("worker")
    return main(words)

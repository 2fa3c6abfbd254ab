"""Counts of what a connection costs: a command's round trips, and how often dtk wakes up while it waits."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.apply.lab import Lab
from tests.ssh.openssh import openssh_machines
from tests.support.waiting import PATIENCE, limited

_HEAD = """
from dtk.ssh.cooperative import patch_standard_library
patch_standard_library()
import sys
from pathlib import Path
import gevent
from dtk.nodes.provider import Connection
from dtk.ssh.channels import SshConnection
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts

node = Connection("127.0.0.1", int(sys.argv[1]), "tester", sys.argv[2])

def connect():
    return SshConnection("n1", reach(node, KnownHosts(Path(sys.argv[3])), Patience(), lambda _: None, is_new=True))
"""
COMMANDS = f"""{_HEAD}
connection = connect()
for line in sys.stdin:
    for _ in range(int(line)):
        assert connection.run("echo done", lambda *_: None).code == 0
    print("ran", flush=True)
"""
IDLE = f"""{_HEAD}
connection = connect()
connection.run("true", lambda *_: None)
print("idle", flush=True)
gevent.sleep(60)
"""
SILENT = f"""{_HEAD}
gevent.spawn(connect)
gevent.sleep(1)
print("idle", flush=True)
gevent.sleep(60)
"""
CLOSED = f"""{_HEAD}
connection = connect()
connection.run("true", lambda *_: None)
connection._ahead = None
transport = connection._clients[-1].get_transport()
print("stop", flush=True)
if sys.stdin.readline() == "blocked\\n":
    transport._fair.close = lambda: gevent.sleep(60)
waiting = [gevent.spawn(connection.run, "true", lambda *_: None), gevent.spawn(connection._ask_for_a_sign)]
gevent.sleep(0.5)
gevent.spawn(transport.close)
gevent.joinall(waiting, timeout=20)
late = gevent.spawn(connection._ask_for_a_sign)
late.join(timeout=20)
print([type(one.exception).__name__ for one in waiting], [one.ready() for one in (*waiting, late)], flush=True)
"""
_DELAY_SECONDS = 0.05


class Relay:
    """Passes bytes between a client and a server with a delay, and counts how often the client had to wait."""

    def __init__(self, port: int) -> None:
        self.turns = 0
        self._last = "server"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        self._server_port = port
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop it; its threads have ended with the client."""
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server_port))
        self._open += client, server
        for side, source, to in (("client", client, server), ("server", server, client)):
            threading.Thread(target=self._pass, args=(side, source, to), daemon=True).start()

    def _pass(self, side: str, source: socket.socket, to: socket.socket) -> None:
        while True:
            try:
                select.select([source], [], [])
                # What belongs together arrives within this time, as on a network.
                time.sleep(_DELAY_SECONDS)
                received = source.recv(1 << 20)
            except (OSError, ValueError):  # it has been closed
                received = b""
            if not received:
                with suppress(OSError):
                    to.shutdown(socket.SHUT_RDWR)
                return
            if side == "client" and self._last == "server":
                self.turns += 1
            self._last = side
            with suppress(OSError):
                to.sendall(received)


@contextmanager
def client(script: str, port: int, key: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a script that connects to a port of this machine, until the end of the block."""
    words = [sys.executable, "-c", script, str(port), str(key), str(folder / "known_hosts")]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        limited(process),
    ):
        yield process


def after(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin
    assert process.stdout
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    assert process.stdout.readline()


def test_a_command_takes_two_turns_at_most(lab: Lab, tmp_path: Path) -> None:
    with openssh_machines(lab, tmp_path) as machine:
        relay = Relay(machine().port)
        with client(COMMANDS, relay.port, lab.key_file, tmp_path) as process:
            after(process, "2")
            before = relay.turns
            after(process, "10")
            # One for the command, whose channel was opened while the previous one ran; one in which the previous
            # command's channel is closed, for which nothing waits. A busy machine may divide a turn in two.
            assert relay.turns - before < 25
        relay.close()


def accepted_by(listener: socket.socket) -> socket.socket:
    listener.settimeout(PATIENCE)
    accepted = listener.accept()[0]
    accepted.setblocking(True)
    return accepted


def wakeups(process: subprocess.Popen[str]) -> int:
    """Return how often a process wakes up in three seconds."""
    counted = psutil.Process(process.pid)
    before = counted.num_ctx_switches().voluntary
    time.sleep(3)
    return int(counted.num_ctx_switches().voluntary - before)


def test_an_idle_connection_does_not_wake_up(lab: Lab, tmp_path: Path) -> None:
    with (
        openssh_machines(lab, tmp_path) as machine,
        client(IDLE, machine().port, lab.key_file, tmp_path) as process,
    ):
        after(process, "")
        assert wakeups(process) < 10


def test_a_login_that_waits_does_not_wake_up(lab: Lab, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        client(SILENT, listener.getsockname()[1], lab.key_file, tmp_path) as process,
        accepted_by(listener) as accepted,
    ):
        accepted.sendall(b"SSH-2.0-silent\r\n")
        after(process, "")
        assert wakeups(process) < 10


@pytest.mark.parametrize("how", ["", "blocked"], ids=["at once", "while its jump host reads nothing"])
def test_whoever_waits_for_a_reply_learns_that_the_connection_was_closed(lab: Lab, tmp_path: Path, how: str) -> None:
    with (
        openssh_machines(lab, tmp_path) as machine,
        client(CLOSED, (server := machine()).port, lab.key_file, tmp_path) as process,
    ):
        after(process, "")
        server.pause()
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{how}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "['ConnectionLostError', 'NoneType'] [True, True, True]\n"

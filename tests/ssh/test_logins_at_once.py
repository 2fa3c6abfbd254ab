"""Tests of logins: the number of simultaneous ones is limited, and waiting ones do not use up their timeout."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR, create_server, socket

from dtk.ssh.transport import LOGINS_AT_ONCE
from tests.support.waiting import limited

NODES = 2 * LOGINS_AT_ONCE + 6
MANY = """
from gevent import monkey
monkey.patch_all()
import sys, time
from pathlib import Path
import gevent
from dtk.errors import DtkError
from dtk.nodes.provider import Connection
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts
port, known, nodes = int(sys.argv[1]), KnownHosts(Path(sys.argv[2])), int(sys.argv[3])
real, leap = time.monotonic, 0.0
time.monotonic = lambda: real() + leap

def try_node(number):
    try:
        reach(Connection("127.0.0.1", port, "tester", ""), known, Patience(60.0, 60.0), print, is_new=False)
    except DtkError as error:
        return error.message

tries = [gevent.spawn(try_node, number) for number in range(nodes)]
gevent.get_hub().threadpool.apply(sys.stdin.readline)
# Hours go by for those that wait for their turn.
leap = 7200.0
print("leapt", flush=True)
gevent.joinall(tries)
print(*{one.value for one in tries}, sep="\\n")
"""
TOO_MANY_KEYS = b"Too many authentication failures"


def packet(payload: bytes) -> bytes:
    """Return a payload as an SSH packet, as sent before the key exchange."""
    padding = 8 - (len(payload) + 5) % 8 + 8
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


FAREWELL = packet(b"\x01" + (2).to_bytes(4, "big") + len(TOO_MANY_KEYS).to_bytes(4, "big") + TOO_MANY_KEYS + bytes(4))


class Gate:
    """A server that greets as SSH, holds logins until it is opened, and counts them."""

    def __init__(self, listening: socket) -> None:
        self._listening = listening
        self.opened = threading.Event()
        self.changed = threading.Condition()
        self.greeted = self.logging_in = self.most = self.total = 0

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=(self._listening.accept()[0],), daemon=True).start()

    def _answer(self, connection: socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"SSH-2.0-gate\r\n")
            lines = connection.makefile("rb")
            lines.readline()
            self._count(greeted=1)
            if not lines.read(1):  # the first byte of the packet that starts the key exchange
                return
            self._count(logging_in=1)
            self.opened.wait()
            self._count(logging_in=-1)
            connection.sendall(FAREWELL)
            lines.read()

    def _count(self, *, greeted: int = 0, logging_in: int = 0) -> None:
        with self.changed:
            self.greeted += greeted
            self.logging_in += logging_in
            self.total += max(logging_in, 0)
            self.most = max(self.most, self.logging_in)
            self.changed.notify_all()

    def wait_for(self, greeted: int, logging_in: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.greeted >= greeted and self.logging_in >= logging_in, 120)


@contextmanager
def gate() -> Iterator[tuple[Gate, int]]:
    with create_server(("127.0.0.1", 0), backlog=NODES) as listening:
        made = Gate(listening)
        accepting = threading.Thread(target=made.accept, daemon=True)
        accepting.start()
        yield made, listening.getsockname()[1]
        made.opened.set()
        listening.shutdown(SHUT_RDWR)
        accepting.join()


def test_so_many_log_in_at_once_and_the_time_of_those_that_wait_stands_still(tmp_path: Path) -> None:
    with gate() as (made, port):
        words = [sys.executable, "-c", MANY, str(port), str(tmp_path / "known_hosts"), str(NODES)]
        with (
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client,
            limited(client),
        ):
            assert client.stdin
            assert client.stdout
            made.wait_for(greeted=NODES, logging_in=LOGINS_AT_ONCE)
            client.stdin.write("\n")
            client.stdin.flush()
            assert client.stdout.readline() == "leapt\n"
            made.opened.set()
            said = client.stdout.read()
        # Each node was tried exactly once, and none timed out.
        assert (made.most, made.total) == (LOGINS_AT_ONCE, NODES)
        assert len(said.splitlines()) == 1
        assert "more keys for" in said

"""Tests that commands which only look at machines report a silent one soon, and wait for one that is only slow."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dtk.nodes.provider import Connection
from dtk.nodes.reach import SILENT_SECONDS
from dtk.refresh.ask_machines import asking
from tests.apply.lab import Lab
from tests.ec2.balanced import TUNNEL
from tests.ssh.openssh import openssh_servers


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield a port of this machine at which the system drops every request for a connection: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture
def slow(lab: Lab, tmp_path: Path) -> Iterator[int]:
    """Yield a port whose system accepts connections at once, but whose SSH server answers long after."""
    with ExitStack() as stack:
        server = stack.enter_context(openssh_servers(lab, tmp_path))()
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve(here: socket.socket) -> None:
            time.sleep(SILENT_SECONDS + 2)
            there = socket.create_connection((server.host, server.port))
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=pass_on, args=(one, other), daemon=True).start()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_silent_machine_is_given_up_and_a_slow_one_is_asked(lab: Lab, tmp_path: Path, silent: int, slow: int) -> None:
    tunnel = tmp_path / "tunnel.py"
    tunnel.write_text(TUNNEL)
    way = Connection("127.0.0.1", slow, "tester", str(lab.key_file))
    ways = {
        "slow": way,
        "slow behind a program": replace(way, proxy_command=f"{sys.executable} {tunnel} {slow}"),
        "silent": replace(way, port=silent),
        "behind a program that fails": replace(way, proxy_command="sh -c 'echo no agent >&2; exit 3'"),
    }
    answers = {name: str(answer) for name, answer in asking(tmp_path / "known_hosts")(ways, "echo here").items()}
    assert answers == {
        "slow": "here\n",
        "slow behind a program": "here\n",
        "silent": f"no SSH connection to 127.0.0.1:{silent} within 5 s: nothing answers there",
        "behind a program that fails": f"no SSH connection to 127.0.0.1:{slow} through sh within 2 s:"
        " the proxy command ended with code 3: no agent",
    }

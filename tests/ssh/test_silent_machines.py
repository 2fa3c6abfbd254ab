"""Tests that commands which only look at machines report a silent one soon, and wait for one that is only slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dtk.nodes.provider import Connection
from dtk.nodes.reach import SILENT_SECONDS
from dtk.refresh.ask_machines import asking
from tests.apply.lab import Lab
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

        def serve() -> None:
            here, _ = listener.accept()
            time.sleep(SILENT_SECONDS + 2)
            there = socket.create_connection((server.host, server.port))
            for one, other in ((here, there), (there, here)):
                threading.Thread(target=pass_on, args=(one, other), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_silent_machine_is_given_up_and_a_slow_one_is_asked(lab: Lab, tmp_path: Path, silent: int, slow: int) -> None:
    ways = {
        name: Connection("127.0.0.1", port, "tester", str(lab.key_file))
        for name, port in (("silent", silent), ("slow", slow))
    }
    answers = asking(tmp_path / "known_hosts")(ways, "echo here")
    assert str(answers["silent"]) == f"no SSH connection to 127.0.0.1:{silent} within 5 s: nothing answers there"
    assert answers["slow"] == "here\n"

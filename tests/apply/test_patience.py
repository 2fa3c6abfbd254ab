"""Tests of the connection timeout: silent, slow, endlessly sending and refusing machines all end in the stated time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts
from tests.apply.lab import Lab
from tests.apply.server import SshServer

BOUNDED = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from dtk.ssh import host_keys
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.connect import Patience, reach
from dtk.errors import DtkError
from dtk.nodes.provider import Connection
port, key, known, jump = int(sys.argv[1]), sys.argv[2], KnownHosts(Path(sys.argv[3])), sys.argv[4]
node = Connection("127.0.0.1", port, "tester", key, jump)
try:
    # An attempt that may take as long as it wants must not take longer than all of them may.
    patience = Patience(overall=2.0, attempt=3600.0, authentication=3600.0)
    if "question" in sys.argv:
        patience = Patience(overall=3600.0, attempt=3600.0, closed=2.0)
    if "refusal" in sys.argv:
        patience = Patience(overall=3600.0, attempt=3600.0, authentication=2.0)
    reach(node, known, patience, print, is_new="new" in sys.argv)
except DtkError as error:
    print(error.message)
"""


def output(lab: Lab, tmp_path: Path, port: int, *words: str, jump: str = "") -> str:
    """Return the error for an unreachable machine. Fail the test if the attempt does not end within 120 s."""
    arguments = [str(port), str(lab.key_file), str(tmp_path / "known_hosts"), jump, *words]
    ended = subprocess.run(
        [sys.executable, "-c", BOUNDED, *arguments], stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    return ended.stdout.splitlines()[-1]


@contextmanager
def talking(first: bytes, then: bytes = b"", pause: float = 0.2) -> Iterator[int]:
    """Yield a local port that accepts connections, sends ``first``, then ``then`` every ``pause`` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()
        connections: list[socket.socket] = []

        def talk() -> None:
            with suppress(OSError):
                while True:
                    connections.append(listening.accept()[0])
                    with suppress(ConnectionError):
                        connections[-1].sendall(first)
                        while then and not ended.wait(pause):
                            connections[-1].sendall(then)

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("first", "then"),
    [(b"", b""), (b"SSH-2.0-OpenSSH_9.6\r\n", b""), (b"", b"please wait\r\n"), (b"SSH-2.0-x\r\n", b"\0")],
)
def test_who_accepts_and_says_nothing_of_use_is_given_up_in_the_stated_time(
    lab: Lab, tmp_path: Path, first: bytes, then: bytes
) -> None:
    with talking(first, then) as port:
        assert f"no SSH connection to 127.0.0.1:{port} within 2 s: " in output(lab, tmp_path, port)


IGNORED = b"\x00\x00\x00\x1c\x10\x02" + bytes(26)
"""An SSH_MSG_IGNORE packet."""


@pytest.mark.parametrize(
    ("first", "more"), [(b"", b"no end of line"), (b"", b"noise\r\n"), (b"SSH-2.0-x\r\n", IGNORED)]
)
def test_who_sends_without_end_is_given_up_in_the_stated_time(
    lab: Lab, tmp_path: Path, first: bytes, more: bytes
) -> None:
    with talking(first, more * 10_000, pause=0.0) as port:
        assert f"no SSH connection to 127.0.0.1:{port} within 2 s: " in output(lab, tmp_path, port)


def test_a_silent_jump_host_is_given_up_in_the_stated_time(lab: Lab, tmp_path: Path) -> None:
    with talking(b"") as port:
        jump = f"someone@127.0.0.1:{port}"
        assert f"through {jump} within 2 s: " in output(lab, tmp_path, 22, jump=jump)


def test_a_jump_host_in_front_of_silence_is_given_up_in_the_stated_time(lab: Lab, tmp_path: Path) -> None:
    jump = f"someone@127.0.0.1:{lab.add_node('jump').port}"
    with talking(b"") as port:
        assert f"no SSH connection to 127.0.0.1:{port} through {jump} within 2 s: " in output(
            lab, tmp_path, port, jump=jump
        )


def test_a_closed_port_is_told_in_the_stated_time(lab: Lab, tmp_path: Path) -> None:
    server = lab.add_node("master")
    server.stop()
    message = output(lab, tmp_path, server.port)
    assert f"no SSH connection to 127.0.0.1:{server.port} within 2 s: " in message
    assert "refused" in message or "connect" in message.lower()
    assert "Errno" not in message


def test_a_question_waits_for_no_closed_port_also_behind_a_jump_host(lab: Lab, tmp_path: Path) -> None:
    server, jump = lab.add_node("master"), f"someone@127.0.0.1:{lab.add_node('jump').port}"
    server.stop()
    for way in ("", jump):
        assert " within 2 s: " in output(lab, tmp_path, server.port, "question", jump=way)


def test_a_fresh_machine_that_goes_on_refusing_is_given_up_in_the_stated_time(lab: Lab, tmp_path: Path) -> None:
    server = SshServer(tmp_path / "machine", asyncssh.generate_private_key("ssh-ed25519")).start()
    assert "refuses tester" in output(lab, tmp_path, server.port, "refusal", "new")
    assert "refuses tester" in output(lab, tmp_path, server.port, "refusal")
    server.stop()


def test_a_fresh_machine_with_another_host_key_is_refused_at_once(lab: Lab, tmp_path: Path) -> None:
    server = lab.add_node("master")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    KnownHosts(tmp_path / "known_hosts").pin_line(host_entry("127.0.0.1", server.port), other)
    assert "has changed" in output(lab, tmp_path, server.port, "refusal", "new")


def test_a_jump_host_that_refuses_the_login_is_named(lab: Lab, tmp_path: Path) -> None:
    jump = SshServer(tmp_path / "jump", asyncssh.generate_private_key("ssh-ed25519")).start()
    message = output(lab, tmp_path, 22, "refusal", "new", jump=f"someone@127.0.0.1:{jump.port}")
    assert f"127.0.0.1:{jump.port} refuses someone" in message
    jump.stop()

"""The way in to real OpenSSH servers: through chains of jump hosts; and what is said, at once, when no key opens it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dtk.nodes.provider import Connection
from tests.apply.lab import Lab, action, run, stage, wait_until
from tests.ssh.openssh import OpenSsh, openssh_servers

Server = Callable[..., OpenSsh]


@pytest.fixture
def server(lab: Lab, tmp_path: Path) -> Iterator[Server]:
    with openssh_servers(lab, tmp_path) as start:
        yield start


@pytest.fixture
def no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, and no agent."""
    home = tmp_path / "user"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home / ".ssh"


def said(lab: Lab, machine: OpenSsh, **connection: str) -> str:
    """The error of a task whose node is reached like this; "" when it is."""
    given = {"user": "tester", "key": str(lab.key_file), **connection}
    lab.put_node("master", Connection(machine.host, machine.port, **given), machine)
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    return str(result.step("1.1")["error"]["message"]) if result.exit_code else ""


def make_key(file: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file], check=True)
    return file


def test_a_node_behind_two_jump_hosts_is_reached_and_all_keys_are_pinned(lab: Lab, server: Server) -> None:
    first, second, node = server(), server(settings="AllowTcpForwarding local\n"), server()
    jump = f"tester@127.0.0.1:{first.port},tester@127.0.0.1:{second.port}"
    assert said(lab, node, jump=jump) == ""
    pinned = lab.workspace.known_hosts("dask1").read_text()
    assert [f"[127.0.0.1]:{one.port} " in pinned for one in (first, second, node)] == [True] * 3


def test_a_jump_host_that_forwards_nothing_is_named_at_once(lab: Lab, server: Server) -> None:
    jump, node = server(settings="AllowTcpForwarding no\n"), server()
    message = said(lab, node, jump=f"tester@127.0.0.1:{jump.port}")
    assert f"the jump host 127.0.0.1:{jump.port} does not forward connections to 127.0.0.1:{node.port}" in message
    assert "AllowTcpForwarding" in message


def test_a_node_that_lets_no_command_run_is_told_with_its_setting(lab: Lab, server: Server) -> None:
    message = said(lab, server(settings="MaxSessions 0\n"))
    assert "master lets no further command run over its connection" in message
    assert "MaxSessions" in message


def test_a_public_key_in_place_of_a_private_one_is_told_as_that(lab: Lab, server: Server) -> None:
    public = lab.key_file.with_suffix(".pub")
    lab.client_key.write_public_key(public)
    message = said(lab, server(), key=str(public))
    assert message == f"{public} is a public key (name the private one: {lab.key_file})"


def test_a_login_without_any_key_is_told_at_once(lab: Lab, server: Server, no_keys: Path) -> None:
    message = said(lab, server(), key="")
    assert "there is no key to log in to" in message
    assert "ssh-add FILE" in message


def test_a_key_that_nobody_can_unlock_is_told_at_once(lab: Lab, server: Server, no_keys: Path) -> None:
    make_key(no_keys / "id_ed25519", "secret")
    message = said(lab, server(), key="")
    assert "those of ~/.ssh are protected by a passphrase" in message
    assert "ssh-add" in message


def test_too_many_keys_of_an_agent_are_told_as_that(
    lab: Lab, server: Server, no_keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [make_key(tmp_path / f"key{number}") for number in range(4)]
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as agent:
        try:
            wait_until(socket.exists)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            subprocess.run(["ssh-add", "-q", *map(str, keys)], check=True)
            message = said(lab, server(settings="MaxAuthTries 2\n"), key="")
        finally:
            agent.terminate()
    assert "after too many keys of tester" in message
    assert "name the one that fits" in message


def test_the_signal_that_ended_a_command_is_named(lab: Lab, server: Server) -> None:
    machine = server()
    lab.put_node("master", Connection(machine.host, machine.port, "tester", str(lab.key_file)), machine)
    messages = []
    for command in ("sh -c 'kill -9 $$'", "sh -c 'kill -TERM $$'", "exit 200"):
        messages.append(lab.apply(stage(1, action("master", "m::c", run(command)))).step("1.1")["error"]["message"])
    assert "was ended by SIGKILL, which the kernel sends when memory runs out (dmesg) (code 137)" in messages[0]
    assert "was ended by SIGTERM (code 143)" in messages[1]
    assert "exited with code 200" in messages[2]


def test_a_file_whose_name_has_a_backslash_is_put_once(lab: Lab, server: Server) -> None:
    machine = server()
    lab.put_node("master", Connection(machine.host, machine.port, "tester", str(lab.key_file)), machine)
    name = r"mnt-data\x2dbig.mount"
    content = {"src": "unit", "dest": str(machine.home / name)}
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "unit").write_text("[Mount]\n")
    put = {"kind": "operation", "name": "files.put", "arguments": content}
    digest = hashlib.sha256(b"[Mount]\n").hexdigest()
    changed = []
    for _ in range(2):
        one = action("master", "m::c", put, files={"unit": digest})
        result = lab.apply(stage(1, one), modules={"test/mod": module})
        changed.append(result.of("operation.finished")[0]["changed"])
    assert changed == [True, False]

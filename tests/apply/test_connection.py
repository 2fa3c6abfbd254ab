"""Tests of connecting to nodes: pinned host keys, jump hosts, reconnecting, and error messages."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh import host_keys
from dtk.ssh.host_keys import KnownHosts
from tests.apply.lab import SERVICE, Lab, action, run, stage, wait_until
from tests.apply.server import SshServer
from tests.ssh.openssh import ssh_agent
from tests.support.waiting import limited


def known_hosts(lab: Lab) -> Path:
    return lab.workspace.service_folder(SERVICE) / "known_hosts"


def test_a_host_key_is_pinned_at_first_contact(lab: Lab) -> None:
    server = lab.add_node("master")
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    (line,) = known_hosts(lab).read_text().splitlines()
    public = server.host_key.export_public_key().decode().split()[1]
    assert line == f"[127.0.0.1]:{server.port} ssh-ed25519 {public}"
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    assert len(known_hosts(lab).read_text().splitlines()) == 1


def test_a_changed_host_key_is_refused_by_name_and_fingerprint(lab: Lab) -> None:
    server = lab.add_node("master")
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    pinned = server.host_key.get_fingerprint()
    server.stop()
    server.host_key = asyncssh.generate_private_key("ssh-ed25519")
    server.start()
    result = lab.apply(stage(1, action("master", "m::c", run("touch reached"))))
    message = result.step("1.1")["error"]["message"]
    assert result.exit_code == 1
    assert pinned in message
    assert server.host_key.get_fingerprint() in message
    assert "ssh-keygen -R" in message
    assert not (server.home / "reached").exists()
    assert server.logins == 1
    # Remove the old key, as the hint says. The new key is then in the state as well, so that other clones know it.
    known_hosts(lab).write_text("")
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    public = server.host_key.export_public_key().decode().split()[1]
    assert str(lab.state.nodes["master"].attributes["host_key"]).split()[1] == public
    assert public in known_hosts(lab).read_text()


def test_another_type_of_host_key_is_refused_as_well(lab: Lab) -> None:
    server = lab.add_node("master")
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    server.stop()
    server.host_key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    server.start()
    assert "has changed" in lab.apply(stage(1, action("master", "m::c", run("true")))).step("1.1")["error"]["message"]


def test_a_host_key_that_the_target_knows_is_the_only_one_taken(lab: Lab) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    server = lab.add_node("master", host_key=other)
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    assert "has changed" in result.step("1.1")["error"]["message"]
    assert server.logins == 0


def test_a_jump_host_is_used_and_pinned(lab: Lab) -> None:
    jump = lab.add_node("jump")
    lab.add_node("master", jump=f"someone@127.0.0.1:{jump.port}")
    result = lab.apply(stage(1, action("master", "m::c", run("true"))), stage(2, action("master", "m::d", run("true"))))
    assert result.exit_code == 0, result.events
    assert jump.logins == 1
    assert len(known_hosts(lab).read_text().splitlines()) == 2


def test_a_node_that_is_lost_fails_its_step_and_the_next_task_reaches_it_again(lab: Lab) -> None:
    server = lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run("echo $$ > pid; sleep 300"))))
    wait_until(lambda: (server.home / "pid").exists() and (server.home / "pid").read_text().strip())
    server.drop_connections()
    result = lab.result(started)
    error = result.step("1.1")["error"]
    assert "the connection to master was lost" in error["message"]
    assert error["type"] == "SERVER"
    server.kill(int((server.home / "pid").read_text()))
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0


def test_an_action_that_is_tried_again_reaches_a_node_that_was_lost(lab: Lab) -> None:
    server = lab.add_node("master")
    once = run("test -e pid && exit 0; echo $$ > pid; sleep 300")
    started = lab.start(stage(1, action("master", "m::c", once, retries=1, retry_delay=0.1)))
    wait_until(lambda: (server.home / "pid").exists() and (server.home / "pid").read_text().strip())
    server.drop_connections()
    assert lab.result(started).exit_code == 0
    assert server.logins == 2
    server.kill(int((server.home / "pid").read_text()))


def test_a_node_that_does_not_answer_is_waited_for_and_then_named(lab: Lab) -> None:
    server = lab.add_node("master")
    server.stop()
    gone = {"name": "local", "type": "local", "connect_timeout": 1}
    result = lab.apply(stage(1, action("master", "m::c", run("true"))), target=gone)
    message = result.step("1.1")["error"]["message"]
    assert f"127.0.0.1:{server.port} within 1 s" in message


def test_a_node_that_boots_meanwhile_is_reached(lab: Lab) -> None:
    server = lab.add_node("master")
    server.stop()
    started = lab.start(
        stage(1, action("master", "m::c", run("true"))),
        target={"name": "local", "type": "local", "connect_timeout": 60},
    )
    lab.wait_for(started, "step.started")
    server.start()
    assert lab.result(started).exit_code == 0


def test_a_refused_login_fails_at_once_and_says_who_was_refused(lab: Lab) -> None:
    server = lab.add_node("master")
    stranger = lab.workspace.root / "stranger"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(stranger)
    lab.put_node("master", Connection(server.host, server.port, "tester", str(stranger)), server)
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    message = result.step("1.1")["error"]["message"]
    assert "refuses tester" in message
    assert str(stranger) in message


def test_a_key_with_a_passphrase_is_not_asked_for(lab: Lab) -> None:
    server = lab.add_node("master")
    protected = lab.workspace.root / "protected"
    lab.client_key.write_private_key(protected, passphrase="no")
    lab.put_node("master", Connection(server.host, server.port, "tester", str(protected)), server)
    message = lab.apply(stage(1, action("master", "m::c", run("true")))).step("1.1")["error"]["message"]
    assert "passphrase" in message
    assert "ssh-add" in message


FROZEN = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from dtk.ssh import channels as ssh
from dtk.ssh import host_keys
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.connect import Patience, reach
from dtk.nodes.provider import Connection
port, key, known = int(sys.argv[1]), sys.argv[2], KnownHosts(Path(sys.argv[3]))
ssh.KEEPALIVE_SECONDS = 0.3
def give(_, chunk):
    ssh.ANSWER_SECONDS = 1.0  # not before the command runs: a busy machine takes longer than that to start it
    print(chunk.decode(), end="", flush=True)
clients = reach(Connection("127.0.0.1", port, "tester", key), known, Patience(), lambda _: None, is_new=False)
connection = ssh.SshConnection("master", clients)
try:
    connection.run("echo $$; exec sleep 300", give)
except ssh.ConnectionLostError as error:
    print(error.message)
"""


def test_a_node_that_falls_silent_is_noticed(lab: Lab, tmp_path: Path) -> None:
    server = lab.add_node("master")
    arguments = [str(server.port), str(lab.key_file), str(tmp_path / "known_hosts")]
    words = [sys.executable, "-c", FROZEN, *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as client, limited(client):
        assert client.stdout
        pid = int(client.stdout.readline())
        with server.frozen():
            assert "the connection to master was lost" in client.stdout.readline()
    server.kill(pid)


SILENT = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from dtk.ssh import host_keys
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.connect import Patience, reach
from dtk.ssh.channels import SshConnection
from dtk.nodes.provider import Connection
port, key, known = int(sys.argv[1]), sys.argv[2], KnownHosts(Path(sys.argv[3]))
node, patience = Connection("127.0.0.1", port, "tester", key), Patience(attempt=2.0)
connection = SshConnection("master", reach(node, known, patience, lambda _: None, is_new=False))
for command in "true", "false":
    print(connection.run(command, print).code, flush=True)
    sys.stdin.readline()
"""


def test_a_node_that_is_silent_for_a_while_loses_no_command(lab: Lab, tmp_path: Path) -> None:
    server = lab.add_node("master")
    arguments = [sys.executable, "-c", SILENT, str(server.port), str(lab.key_file), str(tmp_path / "known_hosts")]
    with (
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client,
        limited(client),
    ):
        assert client.stdin
        assert client.stdout
        assert client.stdout.readline() == "0\n"
        with server.frozen():
            client.stdin.write("\n")
            client.stdin.flush()
            # Longer than the timeout for a new connection's first answer.
            time.sleep(3)
        assert client.stdout.readline() == "1\n"
        client.stdin.close()
        client.wait(60)


@pytest.fixture
def guarded(lab: Lab, tmp_path: Path) -> Iterator[tuple[SshServer, Path]]:
    """Yield a jump host that accepts a different key from the nodes' key, and the path of that key's file."""
    own = asyncssh.generate_private_key("ssh-ed25519")
    file = tmp_path / "own" / ".ssh" / "id_ed25519"
    file.parent.mkdir(parents=True)
    own.write_private_key(file)
    file.chmod(0o600)
    jump = SshServer(tmp_path / "jump", own).start()
    yield jump, file
    jump.stop()


def through(lab: Lab, jump: SshServer, **more: str) -> int:
    lab.add_node("master", jump=f"someone@127.0.0.1:{jump.port}", **more)
    return lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code


def test_a_jump_host_is_offered_the_key_that_is_named_for_it(lab: Lab, guarded: tuple[SshServer, Path]) -> None:
    jump, key = guarded
    assert through(lab, jump, jump_key=str(key)) == 0
    assert jump.logins == 1


def test_a_jump_host_is_offered_the_users_own_keys(
    lab: Lab, guarded: tuple[SshServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jump, key = guarded
    monkeypatch.setenv("HOME", str(key.parents[1]))
    assert through(lab, jump) == 0
    assert jump.logins == 1


def test_a_jump_host_is_offered_the_keys_of_the_users_agent(
    lab: Lab, guarded: tuple[SshServer, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jump, key = guarded
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    with ssh_agent(tmp_path, key) as socket_file:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_file))
        assert through(lab, jump) == 0
    assert jump.logins == 1


def test_a_jump_host_that_refuses_all_keys_is_told_which(
    lab: Lab, guarded: tuple[SshServer, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    lab.add_node("master", jump=f"someone@127.0.0.1:{guarded[0].port}")
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    error = result.step("1.1")["error"]["message"]
    assert f"refuses someone with the key {lab.key_file} and the keys of the SSH agent and of ~/.ssh" in error
    assert "jump_key" in error


def test_known_hosts_keeps_one_key_a_machine_and_others_untouched(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    first, second = (asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode() for _ in range(2))
    entry = host_entry("10.0.0.5", 22)
    assert entry == "10.0.0.5"
    known.pin_line(entry, first)
    known.pin_line(host_entry("10.0.0.5", 2222), second)
    known.pin_line(entry, second)
    assert known.path.read_text().count("10.0.0.5 ") == 1
    known.forget(entry)
    assert known.pinned(entry) is None
    assert known.pinned("[10.0.0.5]:2222") is not None


def test_pinning_many_hosts_adds_a_line_each_and_rewrites_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    monkeypatch.setattr(host_keys, "replace_file", None)
    known = KnownHosts(tmp_path / "known_hosts")
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for _ in range(2):
        for number in range(100):
            known.pin_line(f"10.0.0.{number}", key)
    assert len(known.path.read_text().splitlines()) == len(synced) == 100
    assert known.path.stat().st_mode & 0o77 == 0


def test_a_key_that_somebody_else_took_out_is_not_remembered(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known.pin_line("10.0.0.1", key)
    known.path.write_text("10.0.0.2 ssh-ed25519 torn")
    assert known.pinned("10.0.0.1") is None
    known.pin_line("10.0.0.1", key)
    assert KnownHosts(known.path).pinned("10.0.0.1") is not None


def test_keys_that_a_state_has_since_last_time_are_pinned_and_those_it_had_are_not_again(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    first, second = (asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode() for _ in range(2))

    def is_pinned(entry: str, key: str) -> bool:
        return f"{entry} {key.strip()}" in known.path.read_text().splitlines()

    known.take_over({})
    assert not known.path.exists()
    known.take_over({"a": first})
    known.take_over({"a": first, "b": first})
    assert is_pinned("b", first), "a machine that another clone met"
    known.take_over({"a": first, "b": second})
    assert is_pinned("b", second), "one that another clone made anew"
    known.path.write_text("")
    known.take_over({"a": first, "b": second})
    assert known.path.read_text() == "", "somebody took them out: the state's key is the old one"
    known.path.unlink()
    known.take_over({"a": first, "b": second})
    assert is_pinned("a", first)
    assert is_pinned("b", second)


def test_a_key_pinned_before_dtk_noted_those_of_the_state_is_left_alone(tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    first, second = (asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode() for _ in range(2))
    known.pin_line("a", second)
    known.take_over({"a": first, "b": first})
    assert sorted(known.path.read_text().splitlines()) == [f"a {second.strip()}", f"b {first.strip()}"]

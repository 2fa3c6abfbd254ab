"""Tests of logging in to real OpenSSH servers: jump hosts, proxy commands, keys and the errors of failed logins."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from dtk.cli.openssh import ssh_arguments
from dtk.errors import InvalidError
from dtk.nodes.provider import Connection
from dtk.nodes.proxy_command import with_proxy_command
from dtk.nodes.ssh_config import with_ssh_config
from tests.apply.lab import Lab, action, run, stage
from tests.ssh.openssh import OpenSsh, make_key, openssh_servers, ssh_agent
from tests.support.terminal import answering
from tests.support.waiting import PATIENCE

Server = Callable[..., OpenSsh]


@pytest.fixture
def server(lab: Lab, tmp_path: Path) -> Iterator[Server]:
    with openssh_servers(lab, tmp_path) as start:
        yield start


@pytest.fixture
def no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Set HOME to a folder without SSH keys and disable the agent. Yield its ``.ssh`` folder."""
    home = tmp_path / "user"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    # dtk refuses settings that others can change.
    before = os.umask(0o022)
    yield home / ".ssh"
    os.umask(before)


def said(lab: Lab, machine: OpenSsh, **connection: Any) -> str:
    """Run a task on a node with this connection. Return the task's error message, "" if the task succeeds."""
    usual = Connection(machine.host, machine.port, "tester", str(lab.key_file))
    lab.put_node("master", replace(usual, **connection), machine)
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    return str(result.step("1.1")["error"]["message"]) if result.exit_code else ""


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
    assert "master does not allow another command on its connection" in message
    assert "MaxSessions" in message


def test_a_public_key_in_place_of_a_private_one_is_told_as_that(lab: Lab, server: Server) -> None:
    public = lab.key_file.with_suffix(".pub")
    lab.client_key.write_public_key(public)
    message = said(lab, server(), key=str(public))
    assert message == f"{public} is a public key (name the private one: {lab.key_file})"


def test_a_login_without_any_key_is_told_at_once(lab: Lab, server: Server, no_keys: Path) -> None:
    message = said(lab, server(), key="")
    assert "no key to log in to" in message
    assert "ssh-add FILE" in message


def test_a_key_that_nobody_can_unlock_is_told_at_once(lab: Lab, server: Server, no_keys: Path) -> None:
    make_key(no_keys / "id_ed25519", "secret")
    message = said(lab, server(), key="")
    assert "keys in ~/.ssh are protected by a passphrase" in message
    assert "ssh-add" in message


def test_too_many_keys_of_an_agent_are_told_as_that(
    lab: Lab, server: Server, no_keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [make_key(tmp_path / f"key{number}") for number in range(4)]
    with ssh_agent(tmp_path, *keys) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        message = said(lab, server(settings="MaxAuthTries 2\n"), key="")
    assert "your SSH agent offered more keys for tester than the server allows" in message
    assert "set the target's key in dtk.yaml to the right one" in message


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


RELAY = """
import os, socket, sys, threading
there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def copy(read, write):
    while chunk := read():
        write(chunk)
def send(chunk):
    os.write(1, chunk)
threading.Thread(target=lambda: copy(lambda: os.read(0, 65536), there.sendall), daemon=True).start()
copy(lambda: there.recv(65536), send)
"""
"""A program that connects its streams to an address, as vendors' proxy commands do."""


@pytest.fixture
def relay(tmp_path: Path) -> str:
    """Return the command line of a proxy program that writes its arguments to a file on each run."""
    program = tmp_path / "relay.py"
    program.write_text(f"import sys\nopen({str(tmp_path / 'ran')!r}, 'a').write(repr(sys.argv[1:]))\n{RELAY}")
    return f"{sys.executable} {program}"


def test_a_node_is_reached_over_the_streams_of_a_program(lab: Lab, server: Server, relay: str, tmp_path: Path) -> None:
    node = server()
    there = Connection("192.0.2.1", 2222, "tester", str(lab.key_file))
    template = f"{relay} 127.0.0.1 {node.port} '{{id}} of' {{address}} {{port}} {{user}}"
    way = with_proxy_command(there, template, "i-0a1b")
    lab.put_node("master", way, node)
    # Send a lot of data both ways, to check that the two ends don't deadlock.
    one = action("master", "m::c", run("head -c 3000000 /dev/zero | base64"), run("echo over"))
    result = lab.apply(stage(1, one))
    assert result.exit_code == 0, result.end
    asked = f"['127.0.0.1', '{node.port}', 'i-0a1b of', '192.0.2.1', '2222', 'tester']"
    assert (tmp_path / "ran").read_text() == asked
    assert "[192.0.2.1]:2222 ssh-ed25519" in lab.workspace.known_hosts("dask1").read_text()
    assert not running(str(tmp_path / "relay.py"))


def running(word: str) -> list[int]:
    """Return the IDs of processes with this word on their command line."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if word in (one.info["cmdline"] or [])]


def test_a_program_that_leads_nowhere_is_told_in_its_own_words(lab: Lab, server: Server) -> None:
    failing = shlex.join(["sh", "-c", "echo TargetNotConnected: i-0a1b is not connected >&2; exit 255"])
    message = said(lab, server(), proxy_command=failing)
    assert "through sh" in message
    assert "the proxy command ended with code 255: TargetNotConnected: i-0a1b is not connected" in message


SILENT = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from typing import Any
from dtk.errors import DtkError
from dtk.nodes.provider import Connection
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts
there = Connection("192.0.2.1", user="tester", proxy_command=sys.argv[1])
try:
    reach(there, KnownHosts(Path(sys.argv[2])), Patience(2.0, 2.0), lambda _: None, is_new=False)
except DtkError as error:
    print(error.message)
"""


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("exec sleep 600", "no answer within 2 s"),
        ("echo calling >&2; sleep 600", "no answer within 2 s; the proxy command printed: calling"),
        ("trap 'exit 3' TERM; while true; do sleep 0.1; done", "no answer within 2 s"),
        ("exec >&- <&-; sleep 0.2; exit 4", "the proxy command ended with code 4"),
    ],
)
def test_a_program_that_dtk_ends_itself_is_not_the_reason(
    program: str, reason: str, no_keys: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", SILENT, shlex.join(["sh", "-c", program]), str(tmp_path / "known_hosts")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout == f"no SSH connection to 192.0.2.1:22 through sh within 2 s: {reason}\n"


def test_a_program_that_is_not_installed_is_told_at_once(lab: Lab, server: Server) -> None:
    message = said(lab, server(), proxy_command="session-manager-of-nobody {id}")
    assert "the program session-manager-of-nobody can't be run: No such file or directory" in message


@pytest.mark.parametrize("machine", ["-oProxyCommand=x", "i-0$(id)", "i-0 1", "i'0"])
def test_a_value_that_no_command_line_should_have_is_refused(machine: str) -> None:
    with pytest.raises(InvalidError, match="not safe on a command line"):
        with_proxy_command(Connection("192.0.2.1"), "tunnel {id}", machine)


def test_the_users_own_settings_lead_to_a_node(lab: Lab, server: Server, no_keys: Path, tmp_path: Path) -> None:
    jump, node = server(), server()
    (no_keys / "conf.d").mkdir()
    (no_keys / "conf.d/work").write_text(f"Host web\n  HostName 127.0.0.1\n  Port {node.port}\n  ProxyJump bastion\n")
    (no_keys / "config").write_text(
        "Include conf.d/*\nUser tester\n"
        f"Host bastion\n  HostName 127.0.0.1\n  Port {jump.port}\n  IdentityFile {lab.key_file}\n"
    )
    way = with_ssh_config(Connection("web"), has_way=False)
    key = str(lab.key_file)
    assert way == Connection(
        "127.0.0.1", node.port, "tester", key="", jump=f"tester@127.0.0.1:{jump.port}", jump_keys=(key,)
    )
    lab.put_node("master", replace(way, key=key), node)
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    said_here = Connection("web", 2200, "ops", "own.pem", jump="me@192.0.2.7:2201")
    assert with_ssh_config(said_here, has_way=False) == replace(said_here, hostname="127.0.0.1")


def test_each_jump_host_of_the_users_own_settings_is_reached_with_its_own_key(
    lab: Lab, server: Server, no_keys: Path, tmp_path: Path
) -> None:
    keys = [make_key(tmp_path / name) for name in ("outer", "inner")]
    outer, inner = (server(accepts=key.with_suffix(".pub").read_text()) for key in keys)
    node = server()
    (no_keys / "config").write_text(
        f"Host web\n  Port {node.port}\n  ProxyJump inner\n  IdentityFile {lab.key_file}\n"
        f"Host inner\n  Port {inner.port}\n  ProxyJump outer\n  IdentityFile {keys[1]}\n"
        f"Host outer\n  Port {outer.port}\n  IdentityFile {keys[0]}\n"
        "Host *\n  HostName 127.0.0.1\n  User tester\n"
    )
    way = with_ssh_config(Connection("web"), has_way=False)
    lab.put_node("master", way, node)
    result = lab.apply(stage(1, action("master", "m::c", run("true"))))
    assert result.exit_code == 0, result.step("1.1")
    line = ssh_arguments(way, tmp_path / "known_hosts")
    assert subprocess.run([*line, "echo", "over"], stdout=subprocess.PIPE, check=False).stdout == b"over\n"
    # dtk.yaml takes precedence, and a state without the keys of single jump hosts can be read.
    named = with_ssh_config(Connection("web", jump_key=str(keys[0])), has_way=False)
    assert {key for _, key in named.jumps} == {str(keys[0])}


def test_a_program_of_the_users_own_settings_gets_what_dtk_yaml_says(no_keys: Path) -> None:
    (no_keys / "config").write_text('Host i-*\n  User ec2-user\n  ProxyCommand sh -c "tunnel %h %p %r"\n')
    found = with_ssh_config(Connection("i-0a1b", 2222, "admin"), has_way=False)
    assert shlex.split(found.proxy_command) == ["sh", "-c", "tunnel i-0a1b 2222 admin"]
    with pytest.raises(InvalidError, match="not safe on a command line"):
        with_ssh_config(Connection("i-$(id)"), has_way=False)


def test_settings_that_lead_in_a_circle_are_told(no_keys: Path) -> None:
    (no_keys / "config").write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(InvalidError, match="form a loop"):
        with_ssh_config(Connection("a"), has_way=False)


def test_openssh_takes_the_same_program(lab: Lab, server: Server, relay: str, tmp_path: Path) -> None:
    node = server()
    there = Connection("192.0.2.1", 22, "tester", str(lab.key_file))
    way = with_proxy_command(there, f"{relay} 127.0.0.1 {node.port} '100% of {{id}}'", "i-0a1b")
    line = ssh_arguments(way, tmp_path / "known_hosts")
    assert subprocess.run([*line, "echo", "over"], stdout=subprocess.PIPE, check=True).stdout == b"over\n"
    assert (tmp_path / "ran").read_text() == f"['127.0.0.1', '{node.port}', '100% of i-0a1b']"


def protected_key(lab: Lab) -> Path:
    key = lab.workspace.root / "protected"
    lab.client_key.write_private_key(key, passphrase="open sesame")
    key.chmod(0o600)
    return key


def test_a_protected_key_that_the_agent_has_needs_no_passphrase(
    lab: Lab, server: Server, no_keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_agent(tmp_path, lab.key_file) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        assert said(lab, server(), key=str(protected_key(lab))) == ""
        public = no_keys / "of_the_agent.pub"
        lab.client_key.write_public_key(public)
        assert said(lab, server(), key=str(public)) == ""


MODULE = """
dsl_version: 1.0.0
module: acme/one
components: {look: {actions: {create: {commands: ["RUN 'true'"]}}}}
assemblies: {one: {nodes: {master: {components: ['one::look']}}}}
"""


DEPLOY = ["deploy", "acme:one/one", "one1", "--target", "rack"]
# With its space: only then dtk has stopped the echo and thrown away what was typed before.
ANSWER = {"protected: ": "open sesame"}


def with_rack(lab: Lab, node: OpenSsh) -> Path:
    """Write a workspace with a host that only a key with a passphrase opens, and return its folder."""
    root = lab.workspace.root
    lab.workspace.file.write_text(
        "format_version: 1\ntargets:\n"
        f"  rack: {{type: hosts, user: tester, key: {protected_key(lab)}, hosts: {{a: {{address: 127.0.0.1,"
        f" port: {node.port}}}}}}}\n"
    )
    (root / "modules/acme/one").mkdir(parents=True)
    (root / "modules/acme/one/dtk.module.yaml").write_text(MODULE)
    return root


def test_a_passphrase_is_asked_for_once_at_the_terminal_and_stands_in_no_file_and_no_list_of_processes(
    lab: Lab, server: Server, no_keys: Path, tmp_path: Path
) -> None:
    root = with_rack(lab, server())
    seen = Seen(str(root))
    code, shown = answering(DEPLOY, ANSWER, cwd=root, meanwhile=seen.look)
    assert code == 0, shown
    assert shown.count("Passphrase for") == 1
    assert seen.workers
    assert not any("sesame" in one for one in seen.processes)
    assert [file for file in root.rglob("*") if file.is_file() and b"sesame" in file.read_bytes()] == []


@pytest.mark.parametrize(
    ("words", "is_clone", "expected"),
    [
        (["plan", "one1", "--refresh"], False, "Nothing to do"),
        (["plan", "one1", "--refresh", "--out", "plan.json"], True, "which was not in the state"),
        (["apply", "one1", "--refresh", "--yes"], True, "which was not in the state"),
        (["delete-and-destroy", "one1", "--yes"], True, "which was not in the state of this folder"),
    ],
)
def test_a_passphrase_is_asked_for_before_the_first_question_to_a_node(
    lab: Lab, server: Server, no_keys: Path, words: list[str], is_clone: bool, expected: str
) -> None:
    root = with_rack(lab, server())
    code, shown = answering(DEPLOY, ANSWER, cwd=root)
    assert code == 0, shown
    if is_clone:
        shutil.rmtree(root / ".dtk")
    seen = Seen(str(root))
    code, shown = answering(words, ANSWER, cwd=root, meanwhile=seen.look)
    assert (code, shown.count("Passphrase for")) == (0, 1), shown
    assert expected in shown
    assert "unreachable" not in shown
    assert not any("sesame" in one for one in seen.processes)
    assert [file for file in root.rglob("*") if file.is_file() and b"sesame" in file.read_bytes()] == []


def test_every_command_that_queries_nodes_asks_for_a_passphrase_first(lab: Lab, server: Server, no_keys: Path) -> None:
    root = with_rack(lab, server())
    code, shown = answering(DEPLOY, ANSWER, cwd=root)
    assert code == 0, shown
    for words, expected in (
        (["doctor", "one1"], "1 of 1 running nodes can be reached over SSH"),
        (["state", "rebuild", "one1", "--yes"], "1 node, 1 component applied"),
    ):
        code, shown = answering(words, ANSWER, cwd=root)
        assert (code, shown.count("Passphrase for")) == (0, 1), shown
        assert expected in shown
    shutil.rmtree(root / ".dtk")
    code, shown = answering(["list-nodes", "--orphans"], ANSWER, cwd=root)
    assert (code, shown.count("Passphrase for")) == (0, 1), shown
    assert "one1" in shown


class Seen:
    """The command lines and environments of a workspace's processes."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.processes: set[str] = set()
        self.workers = 0

    def look(self) -> None:
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(one.cmdline())
                if self._root in line or one.cwd() == self._root:
                    self.processes.add(f"{line} {one.environ()}")
                    self.workers += "dtk.apply.worker" in line

"""Tests of commands on real OpenSSH servers: their output is complete and contains nothing that the login prints."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from dtk.events.fold import fold_log
from dtk.views.step_detail import render_detail
from dtk.views.stream_blocks import stage_ending
from tests.apply.lab import Lab, Result, action, output, run, stage, wait_until
from tests.ssh.openssh import OpenSsh, openssh_machines

Machine = Callable[..., OpenSsh]
BUSY = """
from gevent import monkey
monkey.patch_all()
import sys
import time
from pathlib import Path
import gevent
from dtk.nodes.provider import Connection
from dtk.ssh import channels
from dtk.ssh.channels import SshConnection
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts

# Shorter than this process needs for the node's answers to the keepalives.
channels.KEEPALIVE_SECONDS, channels.ANSWER_SECONDS = 0.5, 1.0

def busy():
    while True:
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            pass
        gevent.sleep(0)

node = Connection("127.0.0.1", int(sys.argv[1]), "tester", sys.argv[2])
known = KnownHosts(Path(sys.argv[3]))
connection = SshConnection("master", reach(node, known, Patience(), lambda _: None, is_new=False))
connection.run("true", lambda *_: None)
for _ in range(8):
    gevent.spawn(busy)
received = {"stdout": b"", "stderr": b""}

def take(stream, chunk):
    received[stream] += chunk

code = connection.run("head -c 60000 /dev/zero; printf end; printf errors >&2", take).code
print(code, len(received["stdout"]), received["stdout"][-3:].decode(), received["stderr"].decode(), flush=True)
"""

SLOW_READER = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
import gevent
import paramiko
from dtk.nodes.provider import Connection
from dtk.ssh import channels
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts

real = paramiko.Channel.recv_stderr

def held_up(channel, size):
    taken = real(channel, size)
    gevent.sleep(2.0)
    return taken

paramiko.Channel.recv_stderr = held_up
channels._LOOK_SECONDS = 0.1
node = Connection("127.0.0.1", int(sys.argv[1]), "tester", sys.argv[2])
clients = reach(node, KnownHosts(Path(sys.argv[3])), Patience(), lambda _: None, is_new=False)
received = []
code = channels.SshConnection("master", clients).run("echo errors >&2", lambda _, chunk: received.append(chunk)).code
print(code, b"".join(received).decode())
"""


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    """Yield a function that starts one OpenSSH server as the node ``master``."""
    with openssh_machines(lab, tmp_path) as start:
        yield start


def value_of(lab: Lab, command: str, *items: dict[str, Any]) -> Any:
    """Run the items, then return the value of an output computed by a command."""
    taken = output("master/m::c/value", command)
    result = lab.apply(stage(1, action("master", "m::c", *items, outputs=(taken,))))
    assert result.exit_code == 0, result.step("1.1")
    return lab.state.attributes["master/m::c/value"]


def done(lab: Lab, command: str, **more: Any) -> tuple[Result, Any]:
    """Run one command. Return the task's result and the command's ``operation.finished`` event."""
    result = lab.apply(stage(1, action("master", "m::c", run(command, **more))))
    (event,) = result.of("operation.finished")
    return result, event


def test_neither_output_nor_the_connection_is_lost_while_busy(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    server = machine()
    arguments = [sys.executable, "-c", BUSY, str(server.port), str(lab.key_file), str(tmp_path / "known_hosts")]
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert ended.stdout.split() == ["0", "60003", "end", "errors"]


def test_what_a_reader_has_taken_and_not_given_on_is_waited_for(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    server = machine()
    arguments = [sys.executable, "-c", SLOW_READER, str(server.port), str(lab.key_file), str(tmp_path / "known_hosts")]
    ended = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    assert ended.stdout.split() == ["0", "errors"]


@pytest.mark.parametrize(
    ("command", "stdout", "stderr"),
    [
        ("printf 'no newline'", "no newline", ""),
        ("printf 'only errors' >&2", "", "only errors"),
        (r"printf 'a\377\000b\n\n<'", "a\ufffd\0b\n\n<", ""),
        ("exit 0", "", ""),
    ],
)
def test_output_comes_as_it_is(lab: Lab, machine: Machine, command: str, stdout: str, stderr: str) -> None:
    machine()
    _, event = done(lab, command)
    assert (event["stdout"], event["stderr"]) == (stdout, stderr)


def test_fifty_megabytes_on_one_line_are_a_value(lab: Lab, machine: Machine) -> None:
    machine()
    assert value_of(lab, "head -c 50000000 /dev/zero | tr '\\0' x") == "x" * 50_000_000


@pytest.mark.parametrize(
    "holder", ["(while :; do sleep 0.05; echo more; done) & echo started", "sleep 300 & echo started"]
)
def test_what_goes_on_in_the_background_holds_no_step(lab: Lab, machine: Machine, holder: str) -> None:
    machine()
    result, event = done(lab, holder)
    assert result.exit_code == 0
    assert event["stdout"].startswith("started") or "more\nstarted" in event["stdout"]
    assert event["output_held"]
    assert "a background process still holds the command's output" in event["message"]


def test_what_goes_on_in_the_background_holds_no_step_of_a_local_node(lab: Lab) -> None:
    lab.add_node("master")
    _, event = done(lab, "sleep 77.7 & echo started; echo $! > pid")
    assert (event["stdout"], event["output_held"]) == ("started", True)
    note = "sleep 77.7 & echo started; echo $! > pid (syscall): a background process still holds the command's output"
    task = fold_log(lab.started[-1].folder / "events.jsonl")
    assert f"NOTE: master: RUN: {note}" in "\n".join(stage_ending(task.stages[0]))
    assert "NOTE: a background process still holds the command's output" in render_detail(
        task.stages[0], datetime.now(UTC)
    )
    lab.servers["master"].kill(int((lab.servers["master"].home / "pid").read_text()))


def test_a_daemon_that_closed_its_output_holds_nothing(lab: Lab, machine: Machine) -> None:
    machine()
    _, event = done(lab, "sleep 300 >/dev/null 2>&1 & echo started")
    assert (event["stdout"], event.get("output_held", False)) == ("started", False)


def test_a_command_whose_shell_is_killed_has_failed_whatever_it_left_behind(lab: Lab, machine: Machine) -> None:
    machine()
    result, event = done(lab, "sleep 300 & echo before; kill -9 $PPID; kill -9 $$")
    assert result.exit_code == 1
    assert event["stdout"] == "before"
    assert event["exit_code"] != 0


NOISE = "echo noise of the login; printf 'and more, no newline'; echo errors >&2; printf more >&2\n"


@pytest.mark.parametrize(
    ("shell", "file"), [("/bin/bash", ".bashrc"), ("/usr/bin/zsh", ".zshenv"), ("/bin/tcsh", ".tcshrc")]
)
def test_what_a_login_prints_is_no_part_of_a_value_or_an_output(
    lab: Lab, machine: Machine, shell: str, file: str
) -> None:
    server = machine(shell=shell)
    (server.home / file).write_text(NOISE if "tcsh" not in shell else "echo noise\nprintf more\n")
    assert value_of(lab, "printf value", run("printf out; printf err >&2")) == "value"
    events = (lab.started[-1].folder / "events.jsonl").read_text()
    assert '"stdout":"out"' in events.replace('": "', '":"')
    assert "noise" not in events


SHELLS = ("/bin/dash", "/bin/bash", "/usr/bin/fish", "/bin/tcsh", "/usr/bin/zsh", "/bin/busybox-sh")
HOSTILE = 'it\'s "quoted" `x` $HOME $(x) \\ \\n ! !! a!b {a,b} * ~ # % ü 日本'


@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_passes_commands_and_files_on_unharmed(lab: Lab, machine: Machine, shell: str) -> None:
    if shell == "/bin/busybox-sh":
        shell = busybox(lab.workspace.root)
    server = machine(shell=shell)
    text = {"$template": "printf '%s\\n' {{ text }}; exit 3", "shell": True}
    attributes = {"text": HOSTILE + "\nsecond line"}
    put = {"kind": "operation", "name": "files.line", "arguments": {"path": "a!b 'c", "line": "!x"}}
    result = lab.apply(stage(1, action("master", "m::c", put, run(text), attributes=attributes)))
    event = result.of("operation.finished")[-1]
    assert event["stdout"] == attributes["text"]
    assert event["exit_code"] == 3
    assert (server.home / "a!b 'c").read_text() == "!x\n"


def busybox(folder: Path) -> str:
    """Return a busybox login shell: a link named ``sh`` to busybox."""
    if not Path("/bin/busybox").exists():
        pytest.skip("this machine has no /bin/busybox")
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "sh"
    link.symlink_to("/bin/busybox")
    return str(link)


def odd(lab: Lab) -> Result:
    """Run a command, write a file and run a second command, all in one action."""
    put = {"kind": "operation", "name": "files.line", "arguments": {"path": "file", "line": "content"}}
    return lab.apply(stage(1, action("master", "m::c", run("true"), put, run("cat file"))))


@pytest.mark.parametrize("settings", ["MaxSessions 1\n", "Subsystem none /bin/false\n"])
def test_one_session_at_a_time_and_no_sftp_are_enough(lab: Lab, machine: Machine, settings: str) -> None:
    machine(settings=settings)
    result = odd(lab)
    assert result.exit_code == 0, result.events
    assert result.of("operation.finished")[-1]["stdout"] == "content"


@pytest.mark.parametrize(
    ("shell", "settings", "printed"),
    [
        ("/usr/sbin/nologin", "", "answered 'This account is currently not available.' and ended with code 1"),
        ("/bin/false", "", "answered nothing and ended with code 1"),
        ("/bin/sh", "ForceCommand echo only this\n", "answered 'only this' and ended with code 0"),
    ],
)
def test_a_login_that_runs_no_commands_is_named_with_what_to_do(
    lab: Lab, machine: Machine, shell: str, settings: str, printed: str
) -> None:
    machine(shell=shell, settings=settings)
    message = odd(lab).step("1.1")["error"]["message"]
    assert printed in message
    assert "ForceCommand" in message


@pytest.mark.parametrize(
    "forced",
    [
        'ForceCommand script -qc "$SSH_ORIGINAL_COMMAND" /dev/null\n',
        'ForceCommand sh -c "$SSH_ORIGINAL_COMMAND" 2>&1\n',
        'ForceCommand sh -c "$SSH_ORIGINAL_COMMAND" >&2\n',
    ],
)
def test_a_login_that_merges_output_and_errors_is_named_with_what_to_do(
    lab: Lab, machine: Machine, forced: str
) -> None:
    machine(settings=forced)
    message = odd(lab).step("1.1")["error"]["message"]
    assert "runs commands on a terminal" in message
    assert "ForceCommand" in message


@pytest.mark.parametrize("settings", ["", "MaxSessions 1\n"])
def test_a_cancelled_command_is_ended_on_the_node(lab: Lab, machine: Machine, settings: str) -> None:
    server = machine(settings=settings)
    command = "trap 'touch ended; exit' TERM; touch begun; sleep 300 & wait"
    started = lab.start(stage(1, action("master", "m::c", run(command))))
    wait_until(lambda: (server.home / "begun").exists() or None)
    started.process.terminate()
    result = lab.result(started)
    assert result.step("1.1")["status"] == "cancelled"
    assert "error" not in result.step("1.1")
    assert (server.home / "ended").exists()


def test_a_cancelled_command_is_ended_where_busybox_is_all_there_is(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    shell = busybox(lab.workspace.root)
    seconds = f"300.{os.getpid()}"
    programs = tmp_path / "programs"
    programs.mkdir()
    subprocess.run(["/bin/busybox", "--install", "-s", str(programs)], check=True)
    server = machine(shell=shell, settings=f"SetEnv PATH={programs}\n")
    # DTK_STEP is not the first environment variable here, and the process ID is one of the machine's own namespace.
    command = "readlink $(command -v grep) > begun; exec env -i A=1 DTK_STEP=$DTK_STEP PATH=$PATH sleep " + seconds
    started = lab.start(stage(1, action("master", "m::c", run(command))))
    begun = server.home / "begun"
    wait_until(lambda: begun.exists() and "busybox" in begun.read_text())
    started.process.terminate()
    result = lab.result(started)
    assert result.step("1.1")["status"] == "cancelled"
    assert "error" not in result.step("1.1")
    assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", seconds]]

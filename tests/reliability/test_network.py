"""Network faults during a task: cut, reset, slow, lossy, a restarting server; each ends within its documented time.

A real OpenSSH server in its own network namespace, behind a cable that the tests cut. The long form also runs tests
that take a minute: ``tests/reliability/run --long network``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from dtk.apply.launch import StartedTask
from dtk.apply.session.node_session import KILL_SECONDS
from dtk.model.planned_action import PlannedAction
from dtk.nodes.provider import Connection
from dtk.ssh.channels import ANSWER_SECONDS, KEEPALIVE_SECONDS, LOGIN_SECONDS
from tests.apply.lab import Lab, Result, action, operation, output, run, stage, wait_until
from tests.reliability.forms import long_form
from tests.ssh.openssh import OpenSsh, openssh_machines
from tests.support.wire import OwnNetwork, own_network

Machine = Callable[..., OpenSsh]
MARGIN_SECONDS = 30.0
"""How much longer than documented a loaded machine may take."""
LOST_SECONDS = KEEPALIVE_SECONDS + ANSWER_SECONDS
SLEEP = ("sleep", "300.25")
PATIENT = {"name": "local", "type": "local", "connect_timeout": 120}
LONG = f"echo began >> log; {' '.join(SLEEP)}; echo ended >> log"


network = pytest.fixture(own_network)


@pytest.fixture
def machine(lab: Lab, network: OwnNetwork, tmp_path: Path) -> Iterator[Machine]:
    """Return a function that starts the one OpenSSH server in the network as the node ``master``."""
    with openssh_machines(lab, tmp_path, network) as start:
        yield start


def begun(lab: Lab, server: OpenSsh, command: str = LONG, **more: Any) -> StartedTask:
    """Start a task; return it once its one command runs."""
    started = lab.start(stage(1, action("master", "m::c", run(command), **more)))
    wait_until((server.home / "log").exists)
    return started


def put_file(lab: Lab, node: str, content: bytes) -> tuple[PlannedAction, dict[str, Path]]:
    """Return an action that uploads a module's file to a node as ``received``, and the module's folder."""
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "sent").write_bytes(content)
    put = operation("files.put", {"src": "sent", "dest": "received"})
    files = {"sent": hashlib.sha256(content).hexdigest()}
    return action(node, "m::put", put, files=files), {"test/mod": module}


def has_connection(started: StartedTask, server: OpenSsh) -> bool:
    connections = psutil.Process(started.pid).net_connections()
    return any(one.raddr and one.raddr.port == server.port for one in connections if one.status == "ESTABLISHED")


def log_of(server: OpenSsh) -> list[str]:
    return (server.home / "log").read_text().split()


@contextmanager
def cut(network: OwnNetwork) -> Iterator[None]:
    network.cable.is_cut = True
    yield
    network.cable.is_cut = False


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer than documented, plus the margin."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + MARGIN_SECONDS


def check_lost_and_begun_anew(lab: Lab, server: OpenSsh, result: Result) -> None:
    """Check that the step failed, and that its processes are killed before anything else runs."""
    assert result.exit_code == 1
    assert "the connection to master was lost" in result.step("1.1")["error"]["message"]
    assert result.end["in_doubt"] == ["1.1"]
    again = lab.apply(stage(1, action("master", "m::c", run("echo again >> log"))))
    assert again.exit_code == 0, again.events
    assert server.runs(*SLEEP) == 0
    assert log_of(server) == ["began", "again"]
    assert lab.state.in_doubt == {}


def test_a_cut_of_five_seconds_costs_nothing_but_them(lab: Lab, network: OwnNetwork, machine: Machine) -> None:
    server = machine()
    started = begun(lab, server, "echo began >> log; until test -e go; do sleep 0.1; done; echo ended >> log; cat log")
    with cut(network):
        (server.home / "go").touch()
        time.sleep(5)
        assert started.process.poll() is None
    result = lab.result(started)
    assert result.exit_code == 0
    assert result.of("operation.finished")[-1]["stdout"] == "began\nended"


def test_a_connection_that_is_reset_is_lost_at_once_and_what_ran_is_ended(
    lab: Lab, network: OwnNetwork, machine: Machine
) -> None:
    server = machine()
    started = begun(lab, server, f"({LONG}) & while :; do echo more; sleep 0.1; done")
    with network.reset(server.port):
        wait_until(lambda: not has_connection(started, server))
    result = lab.result(started)
    check_lost_and_begun_anew(lab, server, result)


def test_a_session_that_the_server_ends_is_lost_at_once_and_what_ran_is_ended(lab: Lab, machine: Machine) -> None:
    server = machine()
    started = begun(lab, server)
    server.end_sessions()
    check_lost_and_begun_anew(lab, server, lab.result(started))


def test_a_server_that_restarts_meanwhile_disturbs_no_step(lab: Lab, machine: Machine) -> None:
    server = machine()
    waiting = "echo began >> log; until test -e go; do sleep 0.1; done"
    started = lab.start(
        stage(1, action("master", "m::c", run(waiting))), stage(2, action("master", "m::d", run("cat log")))
    )
    wait_until((server.home / "log").exists)
    server.reload()
    (server.home / "go").touch()
    result = lab.result(started)
    assert result.exit_code == 0
    assert result.of("operation.finished")[-1]["stdout"] == "began"


def test_every_byte_comes_over_a_slow_and_lossy_line(lab: Lab, network: OwnNetwork, machine: Machine) -> None:
    server = machine()
    network.cable.delay, network.cable.loss = 0.1, 0.05
    content = bytes(range(256)) * 100
    put, modules = put_file(lab, "master", content)
    taken = output("master/m::c/value", "head -c 20000 /dev/zero | tr '\\0' x")
    result = lab.apply(
        stage(1, put), stage(2, action("master", "m::c", outputs=(taken,))), modules=modules, target=PATIENT
    )
    assert result.exit_code == 0, result.of("step.finished")
    assert (server.home / "received").read_bytes() == content
    assert lab.state.attributes["master/m::c/value"] == "x" * 20_000
    assert network.cable.lost > 0


def test_a_server_that_takes_few_connections_at_a_time_is_tried_until_all_are_in(lab: Lab, machine: Machine) -> None:
    server = machine(settings="MaxStartups 1:90:2\n")
    names = [f"n{number}" for number in range(6)]
    for name in names:
        lab.put_node(name, Connection(server.host, server.port, "tester", str(lab.key_file)), server)
    actions = [action(name, "m::c", run(f"touch {name}")) for name in names]
    result = lab.apply(stage(1, *actions), target=PATIENT)
    assert result.exit_code == 0, result.of("step.finished")
    assert all((server.home / name).exists() for name in names)


def test_a_restricted_shell_is_enough(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    shell = tmp_path / "rbash"
    shell.symlink_to("/bin/bash")
    server = machine(shell=str(shell))
    put = operation("files.line", {"path": "file", "line": "content"})
    result = lab.apply(stage(1, action("master", "m::c", run("true"), put, run("cat file"))))
    assert result.exit_code == 0, result.of("step.finished")
    assert (server.home / "file").read_text() == "content\n"


HUNG = """
from gevent import monkey
monkey.patch_all()
import sys
from pathlib import Path
from dtk.nodes.provider import Connection
from dtk.ssh import channels
from dtk.ssh.connect import Patience, reach
from dtk.ssh.host_keys import KnownHosts
channels.LOGIN_SECONDS = 2.0
host, port, key, known = sys.argv[1], int(sys.argv[2]), sys.argv[3], KnownHosts(Path(sys.argv[4]))
clients = reach(Connection(host, port, "tester", key), known, Patience(), print, is_new=False)
try:
    channels.SshConnection("master", clients).run("true", lambda *_: None)
except channels.NoShellError as error:
    print(error.message)
"""
NEVER = "echo your name, please:; while :; do sleep 1; echo still waiting; done\n"


def test_a_login_that_never_comes_to_the_command_is_named(lab: Lab, machine: Machine, tmp_path: Path) -> None:
    server = machine(shell="/bin/bash")
    (server.home / ".bashrc").write_text(NEVER)
    arguments = [server.host, str(server.port), str(lab.key_file), str(tmp_path / "known_hosts")]
    ended = subprocess.run([sys.executable, "-c", HUNG, *arguments], capture_output=True, text=True, check=True)
    assert "did not start the command within 2 s: it printed 'your name, please:" in ended.stdout


@long_form
def test_a_login_that_never_comes_to_the_command_fails_the_step_in_the_stated_time(lab: Lab, machine: Machine) -> None:
    server = machine(shell="/bin/bash")
    (server.home / ".bashrc").write_text(NEVER)
    with within(LOGIN_SECONDS):
        started = lab.start(stage(1, action("master", "m::c", run("true"))))
        started.process.wait(timeout=300)
    message = lab.result(started).step("1.1")["error"]["message"]
    assert "did not start the command within 60 s: it printed 'your name, please:" in message


@long_form
def test_a_cut_for_ever_is_noticed_in_the_stated_time_and_named(
    lab: Lab, network: OwnNetwork, machine: Machine
) -> None:
    server = machine()
    started = begun(lab, server)
    with cut(network), within(LOST_SECONDS):
        result = lab.result(started)
    check_lost_and_begun_anew(lab, server, result)


@long_form
def test_an_upload_is_cut_for_ever_in_the_stated_time(lab: Lab, network: OwnNetwork, machine: Machine) -> None:
    server = machine()
    put, modules = put_file(lab, "master", bytes(50_000_000))
    network.cable.delay = 0.1
    started = lab.start(stage(1, put), modules=modules)
    wait_until((server.home / "received").exists)
    with cut(network), within(LOST_SECONDS):
        result = lab.result(started)
    assert "the connection to master was lost" in result.step("1.1")["error"]["message"]


@long_form
def test_a_machine_that_rebooted_unseen_is_noticed_in_the_stated_time(
    lab: Lab, network: OwnNetwork, machine: Machine
) -> None:
    server = machine()
    started = begun(lab, server)
    with cut(network):
        server.reboot()
    with within(LOST_SECONDS):
        result = lab.result(started)
    check_lost_and_begun_anew(lab, server, result)


@long_form
def test_a_cancel_ends_in_the_stated_time_though_the_node_is_cut_off(
    lab: Lab, network: OwnNetwork, machine: Machine
) -> None:
    server = machine()
    started = begun(lab, server)
    with cut(network):
        time.sleep(1)
        started.process.terminate()
        # dtk tries to kill the processes when the step ends and again when the task ends: the node may be back by then.
        with within(2 * KILL_SECONDS):
            result = lab.result(started)
    assert result.step("1.1")["status"] == "cancelled"
    assert "processes may still run on master" in result.step("1.1")["error"]["message"]
    assert result.end["in_doubt"] == ["1.1"]
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
    assert server.runs(*SLEEP) == 0


@long_form
def test_forty_commands_over_a_bad_line_run_once_each(lab: Lab, network: OwnNetwork, machine: Machine) -> None:
    server = machine()
    network.cable.delay, network.cable.loss = 0.1, 0.05
    for number in range(8):
        actions = (action("master", f"m::c{part}", run(f"echo {number}-{part} >> all")) for part in range(5))
        result = lab.apply(*(stage(at, one) for at, one in enumerate(actions, start=1)), target=PATIENT)
        assert result.exit_code == 0, result.of("step.finished")
    assert (server.home / "all").read_text().split() == [f"{number}-{part}" for number in range(8) for part in range(5)]

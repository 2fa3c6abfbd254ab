"""Tests of commands left running by a dead worker or a lost connection: reported, and ended before new work starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.apply.cancel import cancel_task
from dtk.apply.launch import StartedTask
from tests.apply.lab import SERVICE, Lab, action, is_running, run, stage, wait_until
from tests.apply.server import SshServer

LONG = "echo $$ > pid; sleep 300; touch done"
BESIDE = "! kill -0 $(cat pid) 2>/dev/null || touch beside"


@pytest.fixture
def master(lab: Lab) -> Iterator[SshServer]:
    server = lab.add_node("master")
    yield server
    if (server.home / "pid").exists():
        server.kill(pid_of(server))


def pid_of(server: SshServer) -> int:
    """Wait until LONG runs and return its process ID."""
    file: Path = server.home / "pid"
    return int(wait_until(lambda: file.read_text().strip() if file.exists() else ""))


def kill(started: StartedTask) -> None:
    os.kill(started.pid, signal.SIGKILL)
    started.process.wait()


def killed_in_a_command(lab: Lab, server: SshServer) -> int:
    """Kill a task's worker while its command runs. Return the ID of the command's process, which keeps running."""
    started = lab.start(stage(1, action("master", "m::c", run(LONG))))
    pid = pid_of(server)
    kill(started)
    assert is_running(pid)
    return pid


@pytest.mark.parametrize("noted", ["before", "after"])
def test_doubt_outlives_a_task_that_dies_around_noting_it(lab: Lab, master: SshServer, noted: str) -> None:
    left = killed_in_a_command(lab, master)
    state = lab.workspace.state_file(SERVICE)
    before = state.read_text()
    kill(lab.start(stage(1, action("master", "m::c", run("true")))))
    assert lab.state.in_doubt == {"master": ("1-1.1",)}
    if noted == "before":
        # Simulate a worker that died after creating its task folder and before its first state write.
        state.write_text(before)
    assert lab.apply(stage(1, action("master", "m::c", run(BESIDE)))).exit_code == 0
    assert not is_running(left)
    assert not (master.home / "beside").exists()
    assert lab.state.in_doubt == {}


def test_a_command_that_has_not_ended_is_ended_though_no_log_tells_of_it(lab: Lab, master: SshServer) -> None:
    left = killed_in_a_command(lab, master)
    for file in (lab.workspace.tasks(SERVICE) / "1").glob("events.jsonl*"):
        file.unlink()
    assert lab.apply(stage(1, action("master", "m::c", run(BESIDE)))).exit_code == 0
    assert not is_running(left)
    assert not (master.home / "beside").exists()


def test_a_daemon_that_an_earlier_task_started_on_purpose_is_left_alone(lab: Lab, master: SshServer) -> None:
    daemon = run("setsid sleep 60 > /dev/null 2>&1 < /dev/null & echo $! > daemon")
    assert lab.apply(stage(1, action("master", "m::c", daemon))).exit_code == 0
    pid = int((master.home / "daemon").read_text())
    try:
        assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0
        assert is_running(pid)
    finally:
        master.kill(pid)


def test_a_task_is_on_record_as_started_once_its_state_holds_the_doubt(lab: Lab, master: SshServer) -> None:
    killed_in_a_command(lab, master)
    second = lab.start(stage(1, action("master", "m::d", run("true"))))
    lab.wait_for(second, "task.started")
    state = lab.state
    assert state.last_task == 2
    assert state.in_doubt == {"master": ("1-1.1",)} or "m::d" in state.applied.get("master", {})
    lab.result(second)


def test_a_step_whose_connection_is_lost_is_in_doubt_and_its_command_is_ended(lab: Lab, master: SshServer) -> None:
    started = lab.start(stage(1, action("master", "m::c", run(LONG))))
    pid = pid_of(master)
    master.drop_connections()
    result = lab.result(started)
    ended = result.step("1.1")
    assert (ended["status"], ended["in_doubt"]) == ("failed", True)
    assert "the connection to master was lost" in ended["error"]["message"]
    assert result.end["in_doubt"] == ["1.1"]
    assert not is_running(pid)


def test_what_can_not_be_reached_is_ended_before_the_next_task_does_anything(lab: Lab, master: SshServer) -> None:
    started = lab.start(stage(1, action("master", "m::c", run(LONG))))
    pid = pid_of(master)
    master.stop()
    ended = lab.result(started).step("1.1")
    assert ended["in_doubt"] is True
    assert "processes may still run on master" in ended["error"]["message"]
    assert is_running(pid)
    master.start()
    assert lab.apply(stage(1, action("master", "m::c", run(BESIDE)))).exit_code == 0
    assert not is_running(pid)
    assert not (master.home / "beside").exists()


def test_an_attempt_whose_connection_was_lost_is_ended_before_the_next(lab: Lab, master: SshServer) -> None:
    once = f"if [ -e pid ]; then {BESIDE}; exit 0; fi; {LONG}"
    started = lab.start(stage(1, action("master", "m::c", run(once), retries=1, retry_delay=0.1)))
    pid = pid_of(master)
    master.drop_connections()
    result = lab.result(started)
    assert result.exit_code == 0
    assert "in_doubt" not in result.step("1.1")
    assert not is_running(pid)
    assert not (master.home / "beside").exists()


def test_an_action_that_may_fail_is_ended_before_the_one_after_it(lab: Lab, master: SshServer) -> None:
    may_fail = action("master", "m::c", run(LONG), on_failure="continue")
    both = stage(1, may_fail)
    step = type(both.steps[0])(
        "1.1", "configure_node", "master", actions=(may_fail, action("master", "m::d", run(BESIDE)))
    )
    started = lab.start(type(both)("1", "both", (step,)))
    pid = pid_of(master)
    master.drop_connections()
    assert lab.result(started).exit_code == 0
    assert not is_running(pid)
    assert not (master.home / "beside").exists()


def test_cancelling_reaches_a_node_whose_connection_was_lost(lab: Lab, master: SshServer) -> None:
    lab.add_node("slaves:1")
    others = action("slaves:1", "m::c", run("sleep 300"))
    started = lab.start(stage(1, action("master", "m::c", run(LONG)), others))
    pid = pid_of(master)
    master.stop()
    lab.wait_for(started, "step.finished", step="1.1")
    assert is_running(pid)
    master.start()
    cancel_task(lab.workspace, SERVICE)
    assert lab.result(started).exit_code == 6
    assert not is_running(pid)


def test_cancelling_says_what_it_can_not_reach(lab: Lab, master: SshServer) -> None:
    other = lab.add_node("slaves:1")
    started = lab.start(stage(1, *(action(node, "m::c", run(LONG)) for node in ("master", "slaves:1"))))
    pid_of(master)
    pid_of(other)  # a command that is just being sent may be in doubt, too
    master.stop()
    lab.wait_for(started, "step.finished", step="1.1")
    cancel_task(lab.workspace, SERVICE)
    end = lab.result(started).end
    assert "processes may still run on master" in end["message"]
    assert end["in_doubt"] == ["1.1"]

"""Tests of cancelling: remote processes end, a second signal stops at once, a dead worker leaves no lock behind."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from dtk.apply.cancel import cancel_task
from dtk.errors import UsageError
from dtk.events.recovery import close_orphaned_log
from dtk.state.lock import acquire, holder
from tests.apply.lab import SERVICE, Lab, action, is_running, run, stage, wait_until
from tests.support.preload import preload

LONG = "echo $$ > pid; sleep 300 & echo $! > child; wait"
STUBBORN = "trap '' TERM; echo $$ > pid; while :; do sleep 0.2; done"
SLOW_DISK = """
import os, pathlib, time
busy, fsync = pathlib.Path(__file__).with_name("busy"), os.fsync
def slow(descriptor):
    while busy.exists():
        time.sleep(0.02)
    fsync(descriptor)
os.fsync = slow
"""


def pids(home: Path) -> list[int]:
    """Return the process IDs that the node's command wrote to files."""
    files = (home / "pid", home / "child")
    return [int(text) for text in (file.read_text().strip() for file in files if file.exists()) if text]


def begun(home: Path) -> Path:
    file = home / "pid"
    wait_until(lambda: file.exists() and file.read_text().strip())
    return file


def test_cancel_ends_remote_processes_and_starts_nothing_new(lab: Lab) -> None:
    homes = [lab.add_node(name).home for name in ("master", "slaves:1")]
    started = lab.start(
        stage(1, action("master", "m::c", run(LONG), run("touch next")), action("slaves:1", "m::c", run(STUBBORN))),
        stage(2, action("master", "m::d", run("true"))),
    )
    running = [pid for home in homes if begun(home) for pid in wait_until(partial(pids, home))]
    assert cancel_task(lab.workspace, SERVICE) == 1
    result = lab.result(started)
    assert result.exit_code == 6
    assert [result.step(number)["status"] for number in ("1.1", "1.2")] == ["cancelled", "cancelled"]
    assert [pid for pid in running if is_running(pid)] == []
    assert not (homes[0] / "next").exists()
    assert result.ran == ["1.1", "1.2"]
    assert [e["type"] for e in result.events][-1] == "task.finished"
    assert result.end["status"] == "cancelled"
    assert result.of("task.cancelling")[0]["by"] == "SIGTERM"
    assert holder(lab.workspace.service_folder(SERVICE)) is None


def test_cancelling_ends_the_waiting_between_attempts(lab: Lab) -> None:
    lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run("exit 1"), retries=5, retry_delay=300)))
    lab.wait_for(started, "step.retrying")
    cancel_task(lab.workspace, SERVICE, 1)
    assert lab.result(started).step("1.1")["status"] == "cancelled"


def test_cancelling_ends_the_waiting_for_a_node(lab: Lab) -> None:
    lab.add_node("master").stop()
    started = lab.start(stage(1, action("master", "m::c", run("true"))), target=local(connect_timeout=300))
    lab.wait_for(started, "step.started")
    cancel_task(lab.workspace, SERVICE)
    assert lab.result(started).exit_code == 6


def local(**settings: object) -> dict[str, object]:
    return {"name": "local", "type": "local", **settings}


def test_a_task_cancelled_at_once_is_cancelled(lab: Lab) -> None:
    lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run(LONG))))
    cancel_task(lab.workspace, SERVICE)
    result = lab.result(started)
    assert (result.exit_code, result.end["status"]) == (6, "cancelled")


def test_a_second_signal_stops_at_once_and_the_log_tells_what_is_in_doubt(lab: Lab) -> None:
    server = lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run(STUBBORN))))
    begun(server.home)
    os.kill(started.pid, signal.SIGINT)
    lab.wait_for(started, "task.cancelling")
    os.kill(started.pid, signal.SIGINT)
    result = lab.result(started)
    assert (result.exit_code, result.end["type"], result.end["status"]) == (6, "task.finished", "cancelled")
    assert result.end["in_doubt"] == ["1.1"]
    server.kill(*pids(server.home))


def test_a_second_signal_stops_at_once_while_the_disk_is_busy_with_the_first(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = preload(monkeypatch, tmp_path / "disk", SLOW_DISK)
    server = lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run(STUBBORN))))
    begun(server.home)
    (disk / "busy").touch()
    os.kill(started.pid, signal.SIGINT)
    lab.wait_for(started, "task.cancelling")
    os.kill(started.pid, signal.SIGINT)
    lab.wait_for(started, "task.finished")
    (disk / "busy").unlink()
    result = lab.result(started)
    assert (result.exit_code, len(result.of("task.cancelling"))) == (6, 1)
    assert result.end["in_doubt"] == ["1.1"]
    server.kill(*pids(server.home))


def test_a_closed_terminal_does_not_end_a_task(lab: Lab) -> None:
    server = lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run("echo $$ > pid; until test -e go; do sleep 0.1; done"))))
    begun(server.home)
    os.kill(started.pid, signal.SIGHUP)
    (server.home / "go").touch()
    assert lab.result(started).exit_code == 0


def test_a_killed_worker_frees_the_lock_and_its_log_can_be_closed(lab: Lab) -> None:
    server = lab.add_node("master")
    started = lab.start(stage(1, action("master", "m::c", run(LONG))))
    begun(server.home)
    found = holder(lab.workspace.service_folder(SERVICE))
    assert found is not None
    assert (found.pid, found.task) == (started.pid, 1)
    os.kill(started.pid, signal.SIGKILL)
    started.process.wait()
    acquire(lab.workspace.service_folder(SERVICE), "dtk apply").release()
    assert close_orphaned_log(started.folder / "events.jsonl") == ("1.1",)
    server.kill(*pids(server.home))
    # The next task continues from there. The interrupted step does not count as done.
    unfinished = lab.state.unfinished
    assert unfinished is not None
    assert unfinished.succeeded == {}
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0


def test_there_is_nothing_to_cancel_when_nothing_runs(lab: Lab) -> None:
    lab.add_node("master")
    with pytest.raises(UsageError, match="No running tasks found"):
        cancel_task(lab.workspace, SERVICE)

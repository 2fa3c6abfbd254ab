"""Crashes of any process at any moment: the lock holds, the printed advice works, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dtk.model.executor import Executor
from dtk.state.lock import holder
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.support.processes import NAP
from tests.support.waiting import eventually

SERVICE = "ring1"

KILLER = """
import os, signal, sys
at, moment = os.environ["KILL_AT"].encode(), os.environ["KILL_WHEN"]
write = os.write
if "dtk.apply.worker" in " ".join(sys.orig_argv) or moment == "anywhere":
    def killing_write(descriptor, data):
        hit = at in bytes(data)
        if hit and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        written = write(descriptor, data)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return written
    os.write = killing_write
"""


def killed(dtk: Dtk, tmp_path: Path, at: str, when: str, *words: str) -> None:
    """Run a command and kill its process as it writes an event of type ``at``.

    Args:
        when: ``before``, ``after`` or ``anywhere``, relative to the write.
    """
    folder = tmp_path / "killer"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(KILLER)
    dtk.run(*words, code=None, PYTHONPATH=str(folder), KILL_AT=f'"type":"{at}"', KILL_WHEN=when)


def state(dtk: Dtk) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((dtk.root / f".dtk/services/{SERVICE}/state.json").read_text())
    return document


def status(dtk: Dtk) -> str:
    return str(dtk.json("task-status", SERVICE)["status"])


@pytest.fixture
def staged(dtk: Dtk, module: Path) -> Dtk:
    dtk.run("stage", "acme:ring/cluster", SERVICE)
    return dtk


@pytest.mark.parametrize(
    ("at", "when"),
    [("task.planned", "anywhere"), ("task.started", "before"), ("task.started", "after"), ("task.finished", "before")],
)
def test_the_advised_resume_works_whenever_the_task_was_killed(staged: Dtk, tmp_path: Path, at: str, when: str) -> None:
    killed(staged, tmp_path, at, when, "apply", SERVICE, "--yes")
    shown = staged.json("task-status", SERVICE)
    assert (shown["status"], shown["next_command"]) == ("failed", f"dtk apply {SERVICE} --resume")
    staged.run("apply", SERVICE, "--resume", "--yes")
    assert status(staged) == "succeeded"
    assert "unfinished" not in state(staged)
    assert "in_doubt" not in state(staged)
    assert "Nothing to do" in staged.run("apply", SERVICE, "--yes").stdout


def test_an_apply_settles_a_task_that_was_killed_after_its_last_step(staged: Dtk, tmp_path: Path) -> None:
    killed(staged, tmp_path, "task.finished", "before", "apply", SERVICE, "--yes")
    staged.run("apply", SERVICE, "--yes")
    assert status(staged) == "succeeded"


def test_a_stop_and_a_start_that_were_killed_are_settled_by_the_same_command(staged: Dtk, tmp_path: Path) -> None:
    staged.run("apply", SERVICE, "--yes")
    for at in ("step.finished", "task.finished"):
        for verb, node in (("stop", "stopped"), ("start", "running")):
            killed(staged, tmp_path, at, "before", verb, SERVICE)
            assert staged.json("task-status", SERVICE)["next_command"] == f"dtk {verb} {SERVICE}"
            staged.run(verb, SERVICE)
            assert status(staged) == "succeeded"
            assert {one["status"] for one in state(staged)["nodes"].values()} == {node}
            assert "in_doubt" not in state(staged)


def test_a_stop_of_one_node_that_was_killed_is_settled_by_the_same_command(staged: Dtk, tmp_path: Path) -> None:
    staged.run("apply", SERVICE, "--yes")
    for at, when in (("step.finished", "before"), ("task.finished", "before")):
        for verb, node in (("stop", "stopped"), ("start", "running")):
            killed(staged, tmp_path, at, when, verb, SERVICE, "slaves:1")
            assert staged.json("task-status", SERVICE)["next_command"] == f"dtk {verb} {SERVICE} slaves:1"
            staged.run(verb, SERVICE, "slaves:1")
            assert status(staged) == "succeeded"
            assert {name for name, one in state(staged)["nodes"].items() if one["status"] == "stopped"} == (
                {"slaves:1"} if node == "stopped" else set()
            )


def test_a_destroy_that_was_killed_is_finished_by_the_same_command(staged: Dtk, tmp_path: Path) -> None:
    staged.run("apply", SERVICE, "--yes")
    killed(staged, tmp_path, "task.finished", "before", "delete-and-destroy", SERVICE, "--yes")
    assert staged.json("task-status", SERVICE)["next_command"] == f"dtk delete-and-destroy {SERVICE}"
    staged.run("delete-and-destroy", SERVICE, "--yes")
    assert not [*staged.root.glob("services/*")]
    assert staged.files_left(SERVICE) == ["lock", *(f"tasks/{task}/events.jsonl" for task in (1, 2, 3))]


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_stream_does_not_break_the_lock(dtk: Dtk, module: Path, closed: int) -> None:
    dtk.run("stage", "acme:ring/cluster", SERVICE, "--set", f"slaves/ring::member/work=sleep {NAP}")
    command = f'exec "$0" -m dtk apply {SERVICE} --yes --detach {closed}{"<" if closed == 0 else ">"}&-'
    subprocess.run(["/bin/sh", "-c", command, sys.executable], cwd=dtk.root, check=True, timeout=120)
    eventually(lambda: any(e["type"] == "step.started" for e in dtk.events(SERVICE, 1)), "the task runs")
    assert "is locked by 'dtk apply" in dtk.run("apply", SERVICE, "--yes", code=4).stderr
    worker_log = dtk.root / f".dtk/services/{SERVICE}/tasks/1/worker.log"
    assert worker_log.read_text() == ""
    assert status(dtk) == "executing"
    os.kill(next(e["pid"] for e in dtk.events(SERVICE, 1) if e["type"] == "task.started"), signal.SIGTERM)
    eventually(lambda: status(dtk) == "cancelled", "the task is cancelled")


def test_a_worker_that_does_not_hold_the_lock_does_nothing(staged: Dtk) -> None:
    staged.run("apply", SERVICE, "--yes")
    folder = staged.root / f".dtk/services/{SERVICE}/tasks/1"
    before, executor = (folder / "events.jsonl").read_bytes(), Executor().to_word()
    with (folder / "worker.log").open() as other:
        done = subprocess.run(
            [sys.executable, "-m", "dtk.apply.worker", str(folder), str(other.fileno()), "dtk apply", executor],
            pass_fds=[other.fileno()],
            cwd=staged.root,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 4
    assert "was not handed over" in done.stderr
    assert (folder / "events.jsonl").read_bytes() == before


def test_a_task_whose_reader_has_gone_is_followed_to_its_end(staged: Dtk) -> None:
    command = f'"$0" -m dtk apply {SERVICE} --yes | head -1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["/bin/bash", "-c", command, sys.executable],
        cwd=staged.root,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "the output was closed; the task continues" in done.stderr
    assert done.stdout.splitlines()[-1] == "0"
    assert status(staged) == "succeeded"


def test_a_signal_after_a_tasks_end_does_not_cancel_the_next_task(staged: Dtk) -> None:
    # Local nodes started by root can see only their own folder and world-readable ones.
    with tempfile.TemporaryDirectory(prefix="dtk-go-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        follower = applied_until(staged, folder / "one")
        # The follower is paused, so the signal reaches it after the task's end.
        follower.send_signal(signal.SIGSTOP)
        (folder / "one").touch()
        lock = Workspace(staged.root).service_folder(SERVICE)
        eventually(lambda: holder(lock) is None, "the first task ends")
        second = applied_until(staged, folder / "two")
        follower.send_signal(signal.SIGINT)
        follower.send_signal(signal.SIGCONT)
        said, _ = follower.communicate(timeout=120)
        assert (follower.returncode, "cancelling the task" in said) == (0, True), said
        (folder / "two").touch()
        said, _ = second.communicate(timeout=120)
        assert second.returncode == 0, said
    events = staged.events(SERVICE, 2)
    assert "task.cancelling" not in [event["type"] for event in events]


def applied_until(dtk: Dtk, go: Path) -> subprocess.Popen[str]:
    """Start a task that waits for the file ``go`` on a node; return the following process once the task waits."""
    dtk.run("set-attribute", SERVICE, "slaves:1/ring::member/work", f"until test -e {go}; do sleep 0.1; done")
    log = Workspace(dtk.root).event_log(SERVICE, 1 if go.name == "one" else 2)
    following = dtk.start("apply", SERVICE, "--yes")
    eventually(lambda: log.exists() and "configure_node on slaves:1" in log.read_text(), "the step begins")
    return following

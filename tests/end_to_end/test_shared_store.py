"""A workspace with a shared store: every clone knows what the others have done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dtk.store.commit import commit_state
from dtk.store.folder_objects import FolderObjects
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, LeaseRequest, Tools, acquire, new_lease
from dtk.store.segments import LogShipper, Shipped
from tests.support.command_line import Dtk
from tests.support.waiting import limited


@pytest.fixture
def clone(dtk: Dtk, module: Path, tmp_path: Path) -> Dtk:
    """Make a clone of a workspace whose service app1 was deployed elsewhere; only the store knows that service."""
    dtk.run("deploy", "acme:ring/cluster", "app1")
    root = tmp_path / "clone"
    shutil.copytree(dtk.root, root, ignore=shutil.ignore_patterns(".dtk"))
    with (root / "dtk.yaml").open("a") as file:
        file.write(f"store: {{type: folder, path: {tmp_path / 'store'}}}\n")
    return Dtk(root)


def begin(store: Path, task: int, seconds: float = 60.0) -> HeldLease:
    """Begin a task of app1 as another machine would, before it has uploaded any of its log."""
    lease = new_lease("ci-7", "ci", "dtk apply app1", seconds)
    held = acquire(Tools(FolderObjects(store)), LeaseRequest("app1", "L", lease))
    held.begin_task(task)
    return held


def shipper_of(dtk: Dtk, store: Path, task: int) -> LogShipper:
    log = dtk.root / ".dtk/services/app1/tasks/1/events.jsonl"
    return LogShipper(FolderObjects(store), ServiceKeys("app1"), task, log, Shipped())


def put(dtk: Dtk, store: Path, *, task_runs: bool = False) -> None:
    """Put a workspace's service app1 into a store, as the task that deployed it does."""
    folder = dtk.root / ".dtk/services/app1"
    held, shipper = begin(store, 1), shipper_of(dtk, store, 1)
    shipper.ship()
    if not task_runs:
        commit_state(held, 9, (folder / "state.json").read_bytes())
        shipper.finish()
        held.release()


def test_a_fresh_clone_shows_what_the_store_has(dtk: Dtk, clone: Dtk, tmp_path: Path) -> None:
    put(dtk, tmp_path / "store")
    assert "Nothing to do" in clone.run("plan", "app1").stdout
    assert clone.json("ls")[0]["nodes"] == 3
    for words in (["list-nodes"], ["task-status"], ["list-tasks"], ["task-status", "-m", "stream"]):
        assert clone.run(*words, "app1").stdout == dtk.run(*words, "app1").stdout
    assert clone.run("task-report", "app1", "--out", "-").stdout.startswith("<!DOCTYPE html>")
    assert clone.run("replay", "app1", "--speed", "1000").stdout.endswith("rows in set\n")
    assert "No running tasks found" in clone.run("cancel-task", "app1", code=2).stderr
    # A part of the log is lost, and the task never uploaded the whole log.
    lose_a_segment(tmp_path / "store")
    shutil.rmtree(clone.root / ".dtk")
    assert "a gap: event 4 expected, event 6 found" in clone.run("task-status", "app1", "-m", "stream").stdout


def lose_a_segment(store: Path) -> None:
    """Keep only the lines of task 1's log before and after one lost segment."""
    objects, keys = FolderObjects(store), ServiceKeys("app1")
    whole = objects.get(keys.whole_log(1))
    assert whole is not None
    lines = whole.data.splitlines(keepends=True)
    objects.delete(keys.whole_log(1))
    for key in objects.list(keys.segments(1)):
        objects.delete(key)
    objects.put_new(keys.segment(1, 1), b"".join(lines[:3]))
    objects.put_new(keys.segment(1, 3), b"".join(lines[5:]))


def test_without_the_store_what_was_read_last_is_shown_with_its_time(dtk: Dtk, clone: Dtk, tmp_path: Path) -> None:
    put(dtk, tmp_path / "store")
    store, nodes = tmp_path / "store", clone.run("list-nodes", "app1").stdout
    lost = store.rename(tmp_path / "lost")
    store.write_text("not a folder: it can't be read")
    said = clone.run("list-nodes", "app1")
    assert said.stdout == nodes
    assert "app1: as of 2" in said.stderr
    assert "can't be read" in said.stderr
    assert "--offline" in Dtk(clone.root).run("list-nodes", "app1", "--offline").stderr
    shutil.rmtree(clone.root / ".dtk")
    refused = clone.run("plan", "app1", code=1).stderr
    assert "can't be used" in refused
    assert "--offline" in refused
    assert clone.run("--offline", "plan", "app1").returncode == 0
    store.unlink()
    lost.rename(store)
    assert "Nothing to do" in clone.run("plan", "app1").stdout


def test_a_task_that_runs_elsewhere_is_followed_and_cancelled(dtk: Dtk, clone: Dtk, tmp_path: Path) -> None:
    log = dtk.root / ".dtk/services/app1/tasks/1/events.jsonl"
    *lines, last = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines))
    put(dtk, tmp_path / "store", task_runs=True)
    follower = clone.start("task-status", "app1", "-m", "stream")
    assert clone.json("task-status", "app1")["status"] == "executing"
    clone.run("cancel-task", "app1")
    objects, keys = FolderObjects(tmp_path / "store"), ServiceKeys("app1")
    assert objects.get(keys.cancel(1, 1)) is not None
    objects.put_new(keys.segment(1, 2), last.encode())
    told, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0, told
    log.write_text("".join([*lines, last]))
    assert told == dtk.run("task-status", "app1", "-m", "stream").stdout


@pytest.mark.parametrize("words", [(), ("2",)], ids=["the newest", "by its number"])
def test_a_task_that_has_just_begun_is_waited_for(dtk: Dtk, clone: Dtk, tmp_path: Path, words: tuple[str, ...]) -> None:
    store = tmp_path / "store"
    put(dtk, store)
    held = begin(store, 2)
    with clone.start("task-status", "app1", *words, "-m", "stream") as follower, limited(follower):
        assert follower.stdout is not None
        assert follower.stdout.readline() == "app1: task 2 has begun; waiting for its first events\n"
        assert [row["task"] for row in clone.json("list-tasks", "app1")] == [1]
        shipper_of(dtk, store, 2).finish()
        held.release()
        told, _ = follower.communicate(timeout=60)
    assert follower.returncode == 0, told
    assert told == dtk.run("task-status", "app1", "-m", "stream").stdout


def test_a_task_that_died_before_its_first_event_is_not_waited_for_once_its_lease_is_over(
    dtk: Dtk, clone: Dtk, tmp_path: Path
) -> None:
    begin(tmp_path / "store", 1, seconds=2.0)
    assert "No tasks found" in clone.run("task-status", "app1", code=2).stderr

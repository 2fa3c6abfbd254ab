"""Tests of closing a dead worker's log: the closed log alone gives the result that all views showed before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.events.recovery import close_orphaned_log
from dtk.events.tree import Task
from tests.support.recorder import record_spark


def output(task: Task) -> Task:
    """Return the part of a task that views show, without the time of the last event."""
    return replace(task, last_event_at=None)


def test_a_closed_log_shows_what_the_torn_off_one_showed_at_every_moment(tmp_path: Path) -> None:
    lines = record_spark(tmp_path / "events.jsonl").path.read_bytes().splitlines(keepends=True)
    path = tmp_path / "orphan.jsonl"
    for count in range(1, len(lines) + 1):
        path.write_bytes(b"".join(lines[:count]) + b'{"v":1,"se')
        before = fold(read_log(path).events, writer_alive=False)
        assert close_orphaned_log(path) == before.in_doubt
        reading = read_log(path)
        assert reading.notes == ()
        assert output(fold(reading.events)) == output(before)


def test_the_worker_ended_when_it_last_gave_a_sign_of_life(tmp_path: Path) -> None:
    path = record_spark(tmp_path / "events.jsonl").path
    assert close_orphaned_log(path) == ("5.1",)
    task = fold(read_log(path).events)
    assert task.ended_at is not None
    assert f"{task.ended_at:%H:%M:%S}" == "17:18:41"
    assert task.next_command == "dtk apply spark-cluster1 --resume"


def test_a_recovery_cut_short_is_completed_by_the_next_one(tmp_path: Path) -> None:
    path = record_spark(tmp_path / "events.jsonl").path
    close_orphaned_log(path)
    whole = fold(read_log(path).events)
    lines = path.read_bytes().splitlines(keepends=True)
    for missing in (1, 2):
        path.write_bytes(b"".join(lines[:-missing]))
        assert close_orphaned_log(path) == ("5.1",)
        again = fold(read_log(path).events)
        assert (again.status, again.in_doubt, again.stages[4].status) == ("failed", ("5.1",), "failed")
        assert again.stages[4].steps == whole.stages[4].steps


def test_there_is_nothing_to_close_in_a_finished_log_or_none(tmp_path: Path) -> None:
    recorder = record_spark(tmp_path / "events.jsonl").end()
    before = recorder.path.read_bytes()
    assert close_orphaned_log(recorder.path) is None
    assert recorder.path.read_bytes() == before
    assert close_orphaned_log(tmp_path / "none.jsonl") is None
    assert not (tmp_path / "none.jsonl").exists()


def test_a_worker_that_died_before_it_said_anything_failed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    assert close_orphaned_log(path) == ()
    assert fold(read_log(path).events).status == "failed"

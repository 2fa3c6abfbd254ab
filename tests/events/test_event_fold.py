"""Tests of the fold: it builds a task's tree from events alone, and the tree is consistent after every event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dtk.events.derived_rows import derived_status
from dtk.events.event import TYPES
from dtk.events.fold import Fold, fold
from dtk.events.tree import Progress, Status, Task, TaskStep, exit_code_of
from dtk.views.live_frame import frame
from dtk.views.snapshot_table import render_snapshot
from dtk.views.stream import stream
from dtk.views.task_json import task_document
from tests.support.recorder import Recorder, group, record_spark, stage, step


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    plan = [
        stage("1", "first", group("1.1", "slaves", "a::b"), step("1.2", "configure_node", "master", "a::b")),
        stage("2", "second", step("2.1", "action", "master", actions=["a::b.test"])),
    ]
    return Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan, service="s").start()


def row(task: Task, number: str) -> Any:
    return next(row for _, row in task.rows() if row.number == number)


def statuses(task: Task) -> dict[str, str]:
    return {"": task.status, **{row.number: row.status for _, row in task.rows()}}


@pytest.mark.parametrize(
    ("leaves", "running", "over"),
    [
        (["succeeded", "failed", "cancelled"], "cancelled", "cancelled"),
        (["succeeded", "failed", "executing"], "failed", "failed"),
        (["succeeded", "succeeded"], "succeeded", "succeeded"),
        (["created", "created"], "created", "created"),
        (["succeeded", "created"], "executing", "cancelled"),
    ],
)
def test_a_parents_status_follows_from_its_leaves(leaves: list[Status], running: Status, over: Status) -> None:
    progress = [Progress(status=status) for status in leaves]
    assert (derived_status(progress, over=False), derived_status(progress, over=True)) == (running, over)


def test_a_parent_starts_with_its_first_leaf_and_ends_with_its_last(recorder: Recorder) -> None:
    recorder.at("10:00:01.0").started("1.1.2").at("10:00:02.0").started("1.1.1")
    recorder.at("10:00:03.0").finished("1.1.2", "failed")
    running = row(fold(recorder.events), "1.1")
    assert (running.status, running.ended_at) == ("failed", None)
    recorder.at("10:00:05.5").finished("1.1.1")
    assert row(fold(recorder.events), "1.1").duration == 4.5


def test_a_stage_without_events_of_its_own_is_derived(recorder: Recorder) -> None:
    recorder.started("1.1.1", "1.1.2", "1.2").finished("1.1.1").finished("1.1.2")
    assert row(fold(recorder.events), "1").status == "executing"
    recorder.finished("1.2")
    assert row(fold(recorder.events), "1").status == "succeeded"


def test_a_failed_task_leaves_nothing_executing(recorder: Recorder) -> None:
    recorder.event("stage.started", stage="1").started("1.1.1", "1.2").finished("1.2", "failed").end("failed")
    task = fold(recorder.events)
    assert statuses(task) == {"": "failed", "1": "failed", "1.1": "failed", "1.1.1": "failed", "1.1.2": "created",
                              "1.2": "failed", "2": "created", "2.1": "created"}  # fmt: skip
    assert task.in_doubt == ("1.1.1",)
    assert row(task, "1").ended_at == task.ended_at


def test_a_cancelled_task_has_cancelled_leaves_and_only_named_ones_in_doubt(recorder: Recorder) -> None:
    recorder.started("1.1.1", "1.1.2").end("cancelled", in_doubt=["1.1.2"])
    task = fold(recorder.events)
    assert {statuses(task)[number] for number in ("", "1", "1.1", "1.1.1", "1.1.2")} == {"cancelled"}
    assert task.in_doubt == ("1.1.2",)
    assert [bool(row(task, number).errors) for number in ("1.1.1", "1.1.2")] == [False, True]


def test_late_answers_never_rewrite_what_has_ended(recorder: Recorder) -> None:
    recorder.started("1.2").finished("1.2", "cancelled").finished("1.2", "succeeded")
    assert statuses(fold(recorder.events))["1.2"] == "cancelled"
    recorder.end("cancelled")
    before = fold(recorder.events)
    recorder.started("2.1").finished("2.1").end("succeeded")
    assert fold(recorder.events) == before


def test_a_worker_lost_between_two_steps_is_an_error_of_the_task(recorder: Recorder) -> None:
    recorder.at("10:00:01.0").started("1.2").finished("1.2")
    assert fold(recorder.events).status == "executing"
    task = fold(recorder.events, writer_alive=False)
    assert (task.status, task.duration, task.in_doubt) == ("failed", 1.0, ())
    assert "worker ended" in task.errors[0].message
    assert task.next_command == "dtk apply s --resume"


def test_a_lost_task_names_the_command_that_its_plan_named(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "events.jsonl").event(
        "task.planned", stages=[], next_command="dtk delete-and-destroy s"
    )
    assert fold(recorder.events).next_command == ""
    assert fold(recorder.events, writer_alive=False).next_command == "dtk delete-and-destroy s"


def test_a_failure_that_belongs_to_no_step_is_told_by_the_task(recorder: Recorder) -> None:
    recorder.log.append("task.finished", "the disk is full", status="failed")
    assert fold(recorder.events).errors[0].message == "the disk is full"


def test_a_step_keeps_its_results_attempts_and_last_line_of_output(recorder: Recorder) -> None:
    recorder.started("1.2").event("step.output", step="1.2", lines=["one", "two", "  "])
    recorder.event("step.retrying", step="1.2", attempt=2).ran("1.2", "ls", "x").ran("1.2", "false", exit_code=1)
    leaf = row(fold(recorder.events), "1.2")
    assert (leaf.last_output, leaf.attempt) == ("two", 2)
    assert [(result.command, result.exit_code) for result in leaf.results] == [("ls", 0), ("false", 1)]


def test_a_clock_set_back_makes_no_negative_duration(recorder: Recorder) -> None:
    recorder.started("1.2").at("09:00:00.0").finished("1.2")
    assert row(fold(recorder.events), "1.2").duration == 0.0


def test_exit_codes_tell_how_a_task_ended() -> None:
    codes = [exit_code_of(Task(status=status)) for status in ("executing", "succeeded", "failed", "cancelled")]
    assert codes == [0, 0, 1, 6]


def test_what_did_not_change_is_not_built_again(recorder: Recorder) -> None:
    folding = Fold()
    for event in recorder.started("1.1.1").events:
        folding.feed(event)
    before = folding.task()
    for event in recorder.started("2.1").events[-1:]:
        folding.feed(event)
    assert folding.task().stages[0] is before.stages[0]
    assert folding.task() is folding.task()


def test_folding_event_by_event_is_folding_at_once(tmp_path: Path) -> None:
    events = record_spark(tmp_path / "events.jsonl").end("failed").events
    folding = Fold()
    for position, event in enumerate(events, 1):
        folding.feed(event)
        assert folding.task() == fold(events[:position])
        assert folding.task(writer_alive=False) == fold(events[:position], writer_alive=False)


def test_no_moment_of_a_log_leaves_a_lost_worker_executing(tmp_path: Path) -> None:
    events = record_spark(tmp_path / "events.jsonl").events
    for position in range(len(events)):
        task = fold(events[:position], writer_alive=False)
        assert "executing" not in statuses(task).values()
        assert task.is_over


_json = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=5,
)
_step = some.fixed_dictionaries({}, optional={"number": some.just("1.1") | _json, "node": _json, "type": _json})
_stage = some.fixed_dictionaries({}, optional={"number": some.just("1") | _json, "steps": some.lists(_step | _json)})
_event = some.fixed_dictionaries(
    {"type": some.sampled_from(sorted(TYPES)) | _json},
    optional={
        "ts": some.just("2015-11-26T17:16:55.123456Z") | _json,
        "stages": some.lists(_stage | _json),
        "step": some.just("1.1") | _json,
        "stage": some.just("1") | _json,
        "status": some.sampled_from(["succeeded", "failed", "cancelled"]) | _json,
        "error": _json | some.dictionaries(some.sampled_from(["message", "type", "output", "exit_code"]), _json),
        **dict.fromkeys(("lines", "last_line", "attempt", "message", "command", "stdout", "ended_at"), _json),
    },
)


@given(some.lists(_event, max_size=12), some.booleans())
def test_no_event_whatever_it_holds_breaks_a_view(events: list[dict[str, Any]], alive: bool) -> None:
    task = fold(events, writer_alive=alive)
    render_snapshot(task)
    render_snapshot(task, summarize=True)
    task_document(task)
    assert "".join(stream(events)).endswith("\n")
    if task.last_event_at:
        assert len(frame(task, task.last_event_at, 80, 24)) <= 24


def test_steps_that_no_plan_names_are_noted(recorder: Recorder) -> None:
    task = fold(recorder.started("9.9").started("9.9").events)
    assert task.notes == ("step '9.9' is not in the log's plan; its events are ignored",)
    assert isinstance(next(task.leaves()), TaskStep)


def test_durations_are_measured_and_no_differences_of_times_that_a_clock_may_set_back(recorder: Recorder) -> None:
    recorder.at("10:00:01.0").event("stage.started", stage="1").started("1.1.1", "1.1.2", "1.2")
    recorder.at("09:30:00.0")
    for number, seconds in (("1.1.1", 4.0), ("1.1.2", 6.0), ("1.2", 2.0)):
        recorder.finished(number, measured=seconds)
    recorder.event("stage.finished", stage="1", status="succeeded", measured=6.5).end("failed", measured=7.0)
    task = fold(recorder.events)
    shown = {row.number: row.duration for _, row in task.rows()}
    assert (shown["1"], shown["1.1"], shown["1.1.2"], shown["1.2"]) == (6.5, 6.0, 6.0, 2.0)
    assert task.duration == 7.0
    assert "0.0s" not in render_snapshot(task).replace("10.0s", "")

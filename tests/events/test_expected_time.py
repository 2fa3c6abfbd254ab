"""Tests of a task's expected duration, estimated from earlier tasks, and of its critical path."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dtk.events.critical_path import critical_path
from dtk.events.earlier_tasks import earlier_logs, earlier_tasks
from dtk.events.expected_times import learn
from dtk.events.fold import fold
from dtk.events.tree import Task
from tests.support.recorder import Plan, Recorder, group, stage, step


def plan(members: int = 2) -> Plan:
    return [
        stage("1", "hub", step("1.1", "configure_node", "master", "a::hub")),
        stage("2", "members", group("2.1", "slaves", "a::member", size=members)),
    ]


def recorded(folder: Path, hub: str, *members: str, status: str = "succeeded") -> Task:
    """Return a recorded task: its hub ends ``hub`` seconds after 10:00, its members ``members`` seconds after 10:01."""
    recorder = Recorder(folder / "events.jsonl").at("10:00:00.0").plan(plan(len(members))).start()
    recorder.stage("1", "10:00:00.0", f"10:00:{hub}", status, [("1.1", "10:00:00.0", f"10:00:{hub}")])
    steps = [(f"2.1.{i}", "10:01:00.0", f"10:01:{end}") for i, end in enumerate(members, 1)]
    recorder.stage("2", "10:01:00.0", f"10:01:{max(members)}", status, steps)
    return fold(recorder.at("10:02:00.0").end(status).events)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "tasks" / str(number) for number in range(1, 12)]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def running(folder: Path, members: int = 2) -> Task:
    recorder = Recorder(folder / "events.jsonl").at("12:00:00.0").plan(plan(members)).start()
    recorder.stage("1", "12:00:00.0", steps=[("1.1", "12:00:00.0")])
    return fold(recorder.events)


def moment(second: int) -> datetime:
    return datetime(2015, 11, 26, 12, 0, second, tzinfo=UTC)


def test_a_step_is_expected_to_take_the_median_of_what_it_took(folders: list[Path]) -> None:
    tasks = [recorded(folder, hub, "10.0", "20.0") for folder, hub in zip(folders, ("05.0", "07.0", "40.0"))]  # noqa: B905
    task = running(folders[3])
    expectation = learn(tasks)
    hub, members = task.stages
    assert expectation.of(hub) == 7.0
    assert [expectation.of(leaf) for leaf in members.leaves()] == [10.0, 20.0]
    assert expectation.of(members.steps[0]) == 20.0
    assert expectation.of(task) == 27.0


def test_a_new_member_is_expected_to_take_what_the_others_took(folders: list[Path]) -> None:
    expectation = learn([recorded(folders[0], "05.0", "10.0", "20.0")])
    task = running(folders[1], members=3)
    assert [expectation.of(leaf) for leaf in task.stages[1].leaves()] == [10.0, 20.0, 15.0]


def test_what_failed_tells_nothing_about_how_long_it_takes(folders: list[Path]) -> None:
    expectation = learn([recorded(folders[0], "05.0", "10.0", "20.0", status="failed")])
    task = running(folders[1])
    assert expectation.of(task) is None
    assert expectation.end_of(task, moment(0)) is None


def test_the_expected_end_moves_only_when_a_step_takes_longer_than_it_should(folders: list[Path]) -> None:
    expectation = learn([recorded(folders[0], "05.0", "10.0", "20.0")])
    task = running(folders[1])
    ends = [expectation.end_of(task, moment(second)) for second in (0, 3, 5, 9)]
    assert [end.moment for end in ends if end] == [moment(25), moment(25), moment(25), moment(29)]
    assert [end.unknown for end in ends if end] == [0, 0, 0, 0]


def test_steps_that_no_task_did_before_are_counted(folders: list[Path]) -> None:
    hub_only = Recorder(folders[0] / "events.jsonl").at("10:00:00.0").plan(plan()[:1]).start()
    hub_only.stage("1", "10:00:00.0", "10:00:05.0", steps=[("1.1", "10:00:00.0", "10:00:05.0")])
    end = learn([fold(hub_only.end().events)]).end_of(running(folders[1]), moment(1))
    assert end
    assert (end.moment, end.unknown) == (moment(5), 2)


def test_earlier_tasks_are_those_beside_the_log_newest_first_and_only_some(folders: list[Path]) -> None:
    for folder in folders:
        recorded(folder, "05.0", "10.0")
    log = folders[10] / "events.jsonl"
    assert [path.parent.name for path in earlier_logs(log)] == ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"]
    assert len(list(earlier_tasks(log))) == 5
    assert earlier_logs(folders[0] / "events.jsonl") == []
    assert earlier_logs(folders[0].parent.parent / "copied.jsonl") == []


def test_the_critical_path_is_what_ended_last_and_what_that_waited_for(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan(4)).start()
    recorder.stage("1", "10:00:00.0", "10:00:05.0", steps=[("1.1", "10:00:00.0", "10:00:05.0")])
    # Two run at a time: the third waits for the second, the fourth for the first. The fourth ends last.
    recorder.stage("2", "10:00:05.0", "10:00:30.0", steps=[
        ("2.1.1", "10:00:05.0", "10:00:15.0"), ("2.1.2", "10:00:05.0", "10:00:12.0"),
        ("2.1.3", "10:00:12.0", "10:00:16.0"), ("2.1.4", "10:00:15.0", "10:00:30.0"),
    ])  # fmt: skip
    assert [step.number for step in critical_path(fold(recorder.events))] == ["1.1", "2.1.1", "2.1.4"]

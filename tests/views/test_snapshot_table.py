"""The snapshot table, identical to the original's, character for character."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.events.fold import fold
from dtk.events.tree import Task
from dtk.views.snapshot_table import render_snapshot
from tests.support.recorder import Recorder, group, record_spark, stage, step

DATA = Path(__file__).parent / "data"


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Record a task with a master and a group of two, both members running."""
    plan = [
        stage("1", "first", step("1.1", "configure_node", "master", "a::b")),
        stage("2", "second", group("2.1", "slaves", "a::c"), step("2.2", "configure_node", "master", "a::c")),
        stage("3", "third", step("3.1", "action", "master", actions=["a::b.test"])),
    ]
    recorder = Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan, service="s").start()
    recorder.stage("1", "10:00:00.0", "10:00:01.0", steps=[("1.1", "10:00:00.0", "10:00:01.0")])
    recorder.stage("2", "10:00:01.0", steps=[("2.1.1", "10:00:01.0"), ("2.1.2", "10:00:01.0")])
    return recorder


def column(task: Task, *, summarize: bool = False) -> dict[str, str]:
    """Return each row's status by its number."""
    lines = render_snapshot(task, summarize=summarize).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines if line.startswith("| ")]
    return {row[1].split(" ")[0]: row[2] for row in cells[1:]}


def test_the_table_of_the_original_is_reproduced_byte_for_byte(tmp_path: Path) -> None:
    task = fold(record_spark(tmp_path / "events.jsonl").events)
    assert render_snapshot(task) == (DATA / "spark-cluster1.txt").read_text()


def test_a_failed_step_is_explained_below_the_table(recorder: Recorder) -> None:
    error = {"message": "port 8786 is taken", "type": "USER", "component": "a::c", "command": "start --port 8786",
             "exit_code": 98, "output": "bind: address in use\nbye"}  # fmt: skip
    recorder.at("10:00:03.0").finished("2.1.1", "failed", error=error).finished("2.1.2")
    recorder.event("stage.finished", stage="2", status="failed", seconds=2.0)
    recorder.end("failed", next_command="dtk apply s --resume")
    task = fold(recorder.events)
    assert render_snapshot(task).split("rows in set\n")[1] == (
        "\nERRORS: \n\n"
        "      [ 2.1.1 ] [USER ERROR] Component a::c: port 8786 is taken\n"
        "  RUN: start --port 8786\n"
        "  RETURN CODE: 98\n"
        "  OUTPUT:\n"
        "    bind: address in use\n"
        "    bye\n"
        "\nINFO: to resume: dtk apply s --resume\n"
        "INFO: details: dtk task-action-detail s 2.1.1 --task 1\n"
    )
    assert column(task)["3.1"] == ""


def test_colours_come_only_when_asked_and_do_not_move_the_columns(recorder: Recorder) -> None:
    recorder.finished("2.1.1", "failed", error={"message": "no"}).end("failed")
    task = fold(recorder.events)
    assert "\x1b" not in render_snapshot(task)
    assert "\x1b[33m      [ 2.1.1 ]\x1b[0m \x1b[31m[SERVER ERROR] no\x1b[0m\n" in render_snapshot(task, color=True)


def test_nothing_stays_executing_once_the_task_was_cancelled(recorder: Recorder) -> None:
    recorder.at("10:00:05.0").event("task.cancelling", by="cancel-task").finished("2.1.1", "cancelled")
    recorder.at("10:00:06.0").end("cancelled")
    statuses = column(fold(recorder.events))
    assert statuses == {"assembly_converge": "cancelled", "1": "succeeded", "1.1": "succeeded", "2": "cancelled",
                        "2.1": "cancelled", "2.1.1": "cancelled", "2.1.2": "cancelled", "2.2": "", "3": "", "3.1": "",
                        }  # fmt: skip


def test_a_task_whose_worker_is_gone_failed_and_says_what_is_in_doubt(recorder: Recorder) -> None:
    task = fold(recorder.events, writer_alive=False)
    statuses = column(task)
    assert [statuses[number] for number in ("assembly_converge", "2", "2.1", "2.1.1", "2.2")] == ["failed"] * 4 + [""]
    text = render_snapshot(task)
    assert "[ 2.1.1 ] [SERVER ERROR] the worker has ended" in text
    assert "INFO: to resume: dtk apply s --resume\n" in text
    assert "INFO: in doubt: 2.1.1, 2.1.2\n" in text


def test_a_summary_counts_a_groups_members_in_its_row(recorder: Recorder) -> None:
    recorder.finished("2.1.2")
    statuses = column(fold(recorder.events), summarize=True)
    assert statuses["2.1"] == "executing(1),succeeded(1)"
    assert "2.1.1" not in statuses
    recorder.finished("2.1.1")
    assert column(fold(recorder.events), summarize=True)["2.1"] == "succeeded(2)"


@pytest.mark.parametrize(
    ("messages", "shown"),
    [(("same", "same"), "[ 2.1 ] [USER ERROR] same\n"), (("one", "two"), "[ 2.1 ] [USER ERROR] \n  one\n  two\n")],
)
def test_a_summary_tells_each_error_of_a_group_once(recorder: Recorder, messages: tuple[str, str], shown: str) -> None:
    for number, message in zip(("2.1.1", "2.1.2"), messages, strict=True):
        recorder.finished(number, "failed", error={"message": message, "type": "USER"})
    text = render_snapshot(fold(recorder.events), summarize=True)
    assert shown in text
    assert "failed(2)" in text


def test_notes_on_the_log_stand_below_the_table_once(recorder: Recorder) -> None:
    task = fold(recorder.events, notes=["line 7: not JSON; skipped", "line 7: not JSON; skipped"])
    assert render_snapshot(task).endswith("rows in set\n\nINFO: log: line 7: not JSON; skipped\n")


def test_a_task_that_has_not_begun_has_blank_rows(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "events.jsonl").plan([stage("1", "a", step("1.1", "action", "master"))])
    assert set(column(fold(recorder.events)).values()) == {""}
    assert render_snapshot(fold(recorder.events)).endswith("3 rows in set\n")


def test_output_of_a_node_cannot_move_the_watchers_terminal(recorder: Recorder) -> None:
    recorder.finished("2.1.1", "failed", error={"message": "\x1b[2Jgone\x1b]0;title\x07 \x9b31m"})
    text = render_snapshot(fold(recorder.events))
    assert "[SERVER ERROR] gone 31m\n" in text

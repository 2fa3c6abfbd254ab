"""``task-action-detail``: every operation of a step, with all it gave."""

from __future__ import annotations

from pathlib import Path

from dtk.events.fold import fold
from dtk.views.step_detail import find_row, numbers, render_detail
from tests.support.recorded_tasks import NOW, failed, resumed, running, scaled


def detail(recording: object, number: str, folder: Path) -> str:
    row = find_row(fold(recording(folder / "events.jsonl").events), number)  # type: ignore[operator]
    assert row
    return render_detail(row, NOW)


def test_a_step_tells_each_operation_with_its_outcome_output_and_seconds(tmp_path: Path) -> None:
    border = "=" * 62
    assert detail(failed, "3.1.1", tmp_path) == (
        f"{border}\n3.1.1 configure_node slaves:1\nCOMPONENTS: ring::member\nSTATUS: failed\n"
        f"TIME START: 2015-11-26 10:00:30 +0000\nDURATION: 15.0s\n{border}\n"
        "RUN: join hub --port 7400 (syscall)\nCOMPONENT: c.a\nSTATUS: failed\nRETURN CODE: 7\nDURATION: 0.1s\n"
        "STDOUT:\n  looking for the hub\nSTDERR:\n  bind: address in use\n--\n"
        "ERRORS:\n  Component ring::member: the command failed with exit code 7\n    RUN: join hub --port 7400\n"
        "    RETURN CODE: 7\n    OUTPUT:\n      looking for the hub\n      bind: address in use\n--\n"
    )


def test_a_running_step_tells_its_last_output_and_how_long_it_has_run(tmp_path: Path) -> None:
    text = detail(running, "3.1.1", tmp_path)
    assert "STATUS: executing\n" in text
    assert "DURATION: 30.0s\n" in text
    assert "LAST OUTPUT:\n  fetching 34 of 80\n" in text


def test_a_group_and_a_stage_tell_each_of_their_steps(tmp_path: Path) -> None:
    for number in ("3", "3.1"):
        (tmp_path / number).mkdir()
        text = detail(failed, number, tmp_path / number)
        assert [line for line in text.splitlines() if line.startswith("3.1.")] == [
            f"3.1.{index} configure_node slaves:{index}" for index in (1, 2, 3)
        ]


def test_an_action_names_what_it_ran(tmp_path: Path) -> None:
    text = detail(resumed, "2.1", tmp_path)
    assert "ACTIONS: ring::hub.smoke_test\n" in text
    assert "RUN: ask all (syscall)\n" in text
    assert "STATUS: changed\n" in text


def test_work_on_a_single_machine_is_found_by_its_stages_number(tmp_path: Path) -> None:
    assert "1 create_node slaves:4\n" in detail(scaled, "1", tmp_path)
    (tmp_path / "again").mkdir()
    task = fold(scaled(tmp_path / "again" / "events.jsonl").events)
    assert numbers(task) == ["1", "2", "2.1", "2.1.1", "3", "3.1"]
    assert find_row(task, "1.1") is None

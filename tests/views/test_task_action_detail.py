"""``task-action-detail``: every operation of a step, with all its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dtk.events.fold import fold
from dtk.views.report.page import report_page
from dtk.views.step_detail import find_row, numbers, render_detail
from tests.support.recorded_tasks import NOW, begin, failed, resumed, ring_plan, running, scaled


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
        "ERRORS:\n  Component ring::member: the command failed with exit code 7\n--\n"
    )


def test_an_error_whose_command_no_result_shows_tells_all_of_it(tmp_path: Path) -> None:
    error = {"message": "ring::member.create: 'join hub' failed: no route", "command": "join hub", "output": "no route"}
    recorder = begin(tmp_path / "events.jsonl", ring_plan()).ran("3.1.1", "look for hub", "", 1)
    row = find_row(fold(recorder.finished("3.1.1", "failed", error=error).events), "3.1.1")
    assert row
    # The message quotes the command, so the command is not repeated.
    told = "ERRORS:\n  ring::member.create: 'join hub' failed: no route\n    OUTPUT:\n      no route\n--\n"
    assert told in render_detail(row, NOW)


def test_an_operation_is_told_with_its_arguments_and_what_it_ran(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan())
    put: dict[str, Any] = {"kind": "operation", "name": "files.put", "arguments": "{src: a, dest: b}"}
    recorder.ran("3.1.1", "upload b\nchmod 644 b", **put).ran("3.1.1", "files.put", changed=False, **put)
    shell: dict[str, Any] = {"kind": "operation", "name": "server.shell", "arguments": "{commands: [date, id]}"}
    recorder.ran("3.1.1", "date\nid", **shell).ran("3.1.1", "server.shell", skipped=True, **shell)
    row = find_row(fold(recorder.events), "3.1.1")
    assert row
    told = [line for line in render_detail(row, NOW).splitlines() if line.startswith(("OPERATION", "COMMAND:", "  "))]
    assert told == [
        "OPERATION: files.put {src: a, dest: b}", "COMMAND:", "  upload b", "  chmod 644 b",
        "OPERATION: files.put {src: a, dest: b}",
        "OPERATION: server.shell", "COMMAND:", "  date", "  id",
        "OPERATION: server.shell {commands: [date, id]}",
    ]  # fmt: skip
    page = report_page(fold(recorder.events), NOW)
    assert "<code>OPERATION: files.put {src: a, dest: b}</code>" in page
    assert '<div class="stream">commands</div><pre>date\nid</pre>' in page


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

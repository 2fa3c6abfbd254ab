"""``--junit``: CI shows a task's steps as tests, and never a failed task as passed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dtk.events.fold import fold
from dtk.views.junit import junit_text
from tests.support.recorded_tasks import RECORDINGS, begin, failed, resumed, ring_plan
from tests.support.recorder import Recorder


def junit(recorder: Recorder, *, alive: bool = True) -> ET.Element:
    return ET.fromstring(junit_text(fold(recorder.events, writer_alive=alive)))


def totals(root: ET.Element) -> dict[str, int]:
    return {name: int(root.get(name, "-1")) for name in ("tests", "failures", "skipped", "errors")}


def test_each_step_is_a_case_and_a_failed_one_says_why(tmp_path: Path) -> None:
    root = junit(failed(tmp_path / "events.jsonl"))
    assert totals(root) == {"tests": 10, "failures": 1, "skipped": 1, "errors": 1}
    case = next(case for case in root.iter("testcase") if case.find("failure") is not None)
    assert (case.get("classname"), case.get("name")) == ("members", "3.1.1 configure_node slaves:1")
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "the command failed with exit code 7"
    assert "bind: address in use" in (failure.text or "")


def test_a_task_that_succeeded_has_neither_failure_nor_error(tmp_path: Path) -> None:
    root = junit(resumed(tmp_path / "events.jsonl"))
    assert totals(root) == {"tests": 2, "failures": 0, "skipped": 0, "errors": 0}
    assert [suite.get("time") for suite in root] == ["9.000", "0.900"]


@pytest.mark.parametrize("name", [name for name in RECORDINGS if name not in ("resumed", "scaled")])
def test_a_task_that_did_not_succeed_is_never_green(name: str, tmp_path: Path) -> None:
    found = totals(junit(RECORDINGS[name](tmp_path / "events.jsonl"), alive=False))
    assert found["failures"] + found["errors"] > 0


def test_output_that_xml_cannot_hold_is_taken_out(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan()).ran("3.1.1", "a", "\x00\x1b[31mred\x08 \ufffe<&>")
    output = junit(recorder).find(".//system-out")
    assert output is not None
    assert output.text == "a\nred <&>"

"""``task-status --json``: a document that its schema describes completely."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dtk.events.expected_times import learn
from dtk.events.fold import fold
from dtk.views.task_json import task_document
from tests.support.recorder import Recorder, record_spark

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "task-status.schema.json").read_text())


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    recorder = record_spark(tmp_path / "events.jsonl").ran("5.1", "ls", "x\n")
    error = {"message": "no", "type": "TEST", "command": "ls", "exit_code": 1, "output": "one\ntwo"}
    return recorder.at("17:20:00.5").finished("5.1", "failed", error=error)


@pytest.mark.parametrize("alive", [True, False])
def test_the_document_is_valid_and_plain_json(recorder: Recorder, alive: bool) -> None:
    document = task_document(fold(recorder.events, writer_alive=alive, notes=["line 1: torn"]))
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(document)))
    Draft202012Validator(SCHEMA).validate(task_document(fold([])))


def test_the_document_tells_what_is_expected_when_asked(recorder: Recorder) -> None:
    task = fold(recorder.events)
    document = task_document(task, learn([task]))
    Draft202012Validator(SCHEMA).validate(document)
    assert document["stages"][0]["steps"][0]["expected"] == 82.0
    assert document["stages"][11]["expected"] is None


def test_the_document_tells_each_step_with_its_times_errors_and_results(recorder: Recorder) -> None:
    document = task_document(fold(recorder.events))
    member = document["stages"][2]["steps"][0]["steps"][1]
    assert (member["number"], member["node"], member["duration"]) == ("3.1.2", "slaves:2", 3.11)
    failed = document["stages"][4]["steps"][0]
    assert (failed["status"], failed["ended_at"]) == ("failed", "2015-11-26T17:20:00.500000Z")
    assert failed["errors"] == [
        {"message": "no", "type": "TEST", "component": "", "command": "ls", "exit_code": 1, "output": ["one", "two"]}
    ]
    assert failed["results"][0]["stdout"] == "x\n"

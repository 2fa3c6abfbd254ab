"""Tests that schemas/event.schema.json describes the log and allows for later event types and fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dtk.events.event import TYPES, Event
from dtk.events.log_reader import read_log
from dtk.events.recovery import close_orphaned_log
from tests.support.recorder import record_spark

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def event(**fields: Any) -> Event:
    return {"v": 1, "seq": 1, "ts": "2015-11-26T17:16:55.123456Z", "message": "", **fields}


def test_the_schema_is_one_and_describes_each_type_that_dtk_writes() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert {rule["if"]["properties"]["type"]["const"] for rule in SCHEMA["allOf"]} == TYPES


def test_a_whole_log_with_its_recovery_is_valid(tmp_path: Path) -> None:
    recorder = record_spark(tmp_path / "events.jsonl").ran("5.1", "ls").event("step.output", step="5.1", lines=["a"])
    close_orphaned_log(recorder.path)
    for one in read_log(recorder.path).events:
        VALIDATOR.validate(one)


def test_types_and_fields_of_later_versions_are_valid() -> None:
    VALIDATOR.validate(event(type="step.danced", steps=7))
    VALIDATOR.validate(event(type="stage.started", stage="1", mood="good"))


@pytest.mark.parametrize(
    "wrong",
    [
        event(type="step.started", step="1.1"),
        event(type="step.finished", step="1.1", status="executing"),
        event(type="step.finished", step="one", status="failed"),
        {**event(type="stage.started", stage="1"), "ts": "2015-11-26"},
        {**event(type="stage.started", stage="1"), "seq": 0},
    ],
)
def test_a_wrong_event_is_invalid(wrong: Event) -> None:
    assert not VALIDATOR.is_valid(wrong)

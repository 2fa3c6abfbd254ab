"""Every folder of tests/plans: the same input gives the same plan, byte for byte."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from dtk.dsl.yaml.shipped import data_folder
from dtk.plan.document import from_text, to_text
from tests.plan.cases import FOLDER, names, produced

SCHEMA = Draft202012Validator(json.loads((data_folder("schemas") / "plan.schema.json").read_text()))


@pytest.mark.parametrize("name", names())
def test_a_case_gives_what_its_folder_says(name: str) -> None:
    case = FOLDER / name
    expected = {
        path.name: path.read_text() for path in case.iterdir() if path.name in ("plan.json", "plan.txt", "error.txt")
    }
    assert produced(case) == expected, f"when this is meant: python -m tests.plan.cases {name}"


@pytest.mark.parametrize("name", [name for name in names() if (FOLDER / name / "plan.json").exists()])
def test_a_plan_is_valid_by_its_schema_and_read_back_as_it_was_written(name: str) -> None:
    text = (FOLDER / name / "plan.json").read_text()
    assert [error.message for error in SCHEMA.iter_errors(json.loads(text))] == []
    assert to_text(from_text(text, name)) == text

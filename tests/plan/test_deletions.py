"""Deletion of what an earlier version of a module created."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dtk.dsl.module import load_module
from dtk.errors import InvalidError
from dtk.model.value import Secret
from dtk.plan.compile import compile_plan
from dtk.plan.destroy import destroy_plan
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.simulation import applied
from tests.plan.cases import FOLDER, request


def changed_since(tmp_path: Path, *, attribute: str) -> PlanRequest:
    """Return the first-deploy case as applied, after its module got a new attribute that its delete action uses."""
    before = request(FOLDER / "first-deploy")
    text = (FOLDER / "first-deploy" / "dtk.module.yaml").read_text()
    text = text.replace("RUN drain", "RUN drain {{ pace }}")
    text = text.replace("      workers: {type: integer", f"      pace: {attribute}\n      workers: {{type: integer")
    (tmp_path / "dtk.module.yaml").write_text(text)
    module = load_module(tmp_path, tmp_path)
    return replace(before, modules={module.name: module}, state=applied(compile_plan(before), before.state))


def test_an_attribute_that_a_module_has_got_since_has_its_default_when_its_component_goes(tmp_path: Path) -> None:
    plan = destroy_plan(changed_since(tmp_path, attribute="{type: integer, default: 3}"), force=False)
    commands = {str(item) for leaf in plan.leaves() for action in leaf.actions for item in action.items}
    assert any("drain 3" in command for command in commands)


def test_a_secret_that_a_module_has_got_since_is_a_reference_when_its_component_goes(tmp_path: Path) -> None:
    attribute = "{type: string, secret: true, default: 'env:PACE'}"
    plan = destroy_plan(changed_since(tmp_path, attribute=attribute), force=False)
    given = [
        action.attributes["pace"] for leaf in plan.leaves() for action in leaf.actions if "pace" in action.attributes
    ]
    assert given
    assert set(given) == {Secret("env:PACE")}


def test_a_delete_action_that_needs_what_was_never_applied_says_what_to_do(tmp_path: Path) -> None:
    changed = changed_since(tmp_path, attribute="{type: integer}")
    with pytest.raises(InvalidError, match="'pace'") as caught:
        destroy_plan(changed, force=False)
    assert "--force" in caught.value.hint
    assert destroy_plan(changed, force=True).stages

"""plan.json stores a group's members as differences from the first one, and is read back as the same plan."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dtk.errors import InvalidError
from dtk.model.json_text import indented
from dtk.model.plan import Plan, Step
from dtk.model.planned_action import PlannedAction, PlannedRun
from dtk.model.value import Known
from dtk.plan.compile import compile_plan
from dtk.plan.document import digest_of_plan, earlier_digest, from_text, to_document, to_text
from dtk.service.planning import check_digest
from tests.plan.test_scale import of_members

Change = Callable[[PlannedAction], PlannedAction]


def planned(tmp_path: Path, count: int) -> Plan:
    tmp_path.mkdir(exist_ok=True)
    return compile_plan(of_members(tmp_path, count))


def changed_member(plan: Plan, node: str, change: Callable[[Step], Step]) -> Plan:
    """Return a plan in which ``change`` was applied to the steps of one node that have actions."""

    def visit(step: Step) -> Step:
        if step.steps:
            return replace(step, steps=tuple(map(visit, step.steps)))
        return change(step) if step.node == node and step.actions else step

    return replace(plan, stages=tuple(replace(one, steps=tuple(map(visit, one.steps))) for one in plan.stages))


def test_a_member_costs_few_bytes_though_its_texts_name_its_node(tmp_path: Path) -> None:
    few, many = (len(to_text(planned(tmp_path / str(count), count))) for count in (10, 30))
    in_full = len(indented(to_document(planned(tmp_path / "full", 30)))) / 30
    assert (many - few) / 20 < in_full / 3


def test_a_folded_plan_is_read_back_and_written_again_the_same(tmp_path: Path) -> None:
    plan = planned(tmp_path, 4)
    assert '"like"' in to_text(plan)
    assert from_text(to_text(plan), "plan.json") == plan
    assert to_text(from_text(to_text(plan), "plan.json")) == to_text(plan)


CHANGES: dict[str, Change] = {
    "a reason": lambda one: replace(one, reasons=("because",)),
    "no reason": lambda one: replace(one, reasons=()),
    "a value": lambda one: replace(one, attributes={key: Known("other") for key in one.attributes}),
    "one value more": lambda one: replace(one, attributes={**one.attributes, "more": Known(1)}),
    "values in another order": lambda one: replace(one, attributes=dict(reversed([*one.attributes.items()]))),
    "a variable": lambda one: replace(one, node_variables={**one.node_variables, "cardinality": 77}),
    "another's index": lambda one: replace(one, node_variables={**one.node_variables, "index": 77}),
    "one variable more": lambda one: replace(one, node_variables={**one.node_variables, "home": "/srv"}),
    "its last item": lambda one: replace(one, items=(*one.items[:-1], PlannedRun(command="other"))),
    "one item less": lambda one: replace(one, items=one.items[:-1]),
    "a timeout": lambda one: replace(one, timeout=3.5),
    "a window": lambda one: replace(one, max_in_flight="50%"),
}


@pytest.mark.parametrize("node", ["agents:1", "agents:2"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_member_that_differs_keeps_what_is_its_own(tmp_path: Path, what: str, node: str) -> None:
    def differing(step: Step) -> Step:
        return replace(step, actions=tuple(map(CHANGES[what], step.actions)))

    plan = changed_member(planned(tmp_path, 3), node, differing)
    read = from_text(to_text(plan), "plan.json")
    assert read == plan
    assert json.dumps(to_document(read)) == json.dumps(to_document(plan)), "the order of values counts as well"


def test_a_member_with_other_actions_or_a_reason_of_its_own_is_kept(tmp_path: Path) -> None:
    plan = planned(tmp_path, 3)
    for other in (
        changed_member(plan, "agents:3", lambda step: replace(step, actions=())),
        changed_member(plan, "agents:3", lambda step: replace(step, reason="its own")),
    ):
        assert from_text(to_text(other), "plan.json") == other


def test_a_plan_of_the_format_before_is_read_and_its_digest_holds(tmp_path: Path) -> None:
    plan = planned(tmp_path, 3)
    before = replace(plan, digest=earlier_digest(plan))
    text = json.dumps({**to_document(before), "format_version": 1})
    read = from_text(text, "plan.json")
    assert read == before
    check_digest(read, "plan.json")
    tampered = from_text(text.replace("start --port 8000", "start --port 8001"), "plan.json")
    with pytest.raises(InvalidError, match="was edited after dtk plan wrote it"):
        check_digest(tampered, "plan.json")


def test_what_json_prints_in_full_is_applied_like_the_file(tmp_path: Path) -> None:
    plan = planned(tmp_path, 3)
    read = from_text(json.dumps(to_document(plan)), "plan.json")
    assert read == plan
    check_digest(read, "plan.json")


def test_a_difference_that_is_changed_afterwards_is_found_by_the_digest(tmp_path: Path) -> None:
    text = to_text(planned(tmp_path, 3))
    assert text.count("name agents:3") == 1
    with pytest.raises(InvalidError, match="was edited after dtk plan wrote it"):
        check_digest(from_text(text.replace("name agents:3", "name agents:4"), "plan.json"), "plan.json")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"like": "2.', '"like": "9.', "no such step precedes it in the list"),
        ('"like": "2.', '"like": ["2"], "reason": "', "invalid value|has the wrong type"),
        ('"actions": {"0"', '"actions": {"7"', "an object whose keys are positions below"),
        ('"actions": {"0"', '"actions": {"x"', "'x' is not a valid name here"),
    ],
)
def test_a_file_that_is_no_folded_plan_is_refused(tmp_path: Path, before: str, after: str, why: str) -> None:
    text = to_text(planned(tmp_path, 3))
    broken = text.replace(before, after)
    if broken == text:
        pytest.fail(f"{before!r} is not in the plan:\n{text[:4000]}")
    with pytest.raises(InvalidError) as raised:
        from_text(broken, "plan.json")
    assert re.search(why, str(raised.value))


def test_the_digest_is_that_of_the_plan_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    plan = planned(tmp_path, 3)
    assert plan.digest == digest_of_plan(plan) == digest_of_plan(from_text(to_text(plan), "plan.json"))

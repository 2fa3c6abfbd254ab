"""Properties of any part of any valid service: part and rest make up the whole, and the rest can be applied next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from dtk.errors import InvalidError
from dtk.model.names import group_of
from dtk.model.plan import Plan
from dtk.model.selection import Selection
from dtk.plan.compile import compile_plan
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.simulation import applied
from dtk.state.changes import with_node
from tests.plan.cases import FOLDER, request
from tests.plan.test_properties import (
    GROUP,
    NODES,
    Sketch,
    assert_every_value_is_made_before_it_is_taken,
    request_for,
    sketches,
)
from tests.plan.test_replace import applied_request, on_ec2

TERMS = (*NODES, f"{GROUP}:1", *(f"made::c{index}" for index in range(3)), f"{GROUP}/made::c0", "create_nodes_stage")


def steps_of(plan: Plan) -> Iterator[str]:
    for leaf in plan.leaves():
        yield from [f"{leaf.type} {leaf.node}/{action.component}" for action in leaf.actions] or [
            f"{leaf.type} {leaf.node}"
        ]


def part_or_refusal(request: PlanRequest) -> Plan | InvalidError:
    try:
        return compile_plan(request)
    except InvalidError as error:
        return error


def named_by(step: str) -> set[str]:
    """Return the terms that select a step: its node, its group, and its component there and anywhere."""
    node, _, component = step.partition(" ")[2].partition("/")
    places = {node, group_of(node)}
    return places | {component} | {f"{place}/{component}" for place in places}


def test_a_part_without_the_action_that_makes_a_value_first_is_refused() -> None:
    original = request(FOLDER / "output-of-an-action")
    refused = part_or_refusal(replace(original, selection=Selection(only=("others", "hub"))))
    assert isinstance(refused, InvalidError)
    found = dict.fromkeys((p.message.partition("uses ")[2], p.expected) for p in refused.problems)
    assert list(found) == [
        (
            "center/app::hub/token, which 'app::hub.token' sets in stage 'token'",
            "also select what produces it, or apply that first",
        )
    ]
    again = request(FOLDER / "output-of-an-action-again")
    assert isinstance(part_or_refusal(replace(again, selection=Selection(only=("others", "hub")))), Plan)


@pytest.mark.parametrize(
    ("status", "steps"),
    [("stopped", ["resize_node slaves:1", "configure_node slaves:1"]), ("running", ["configure_node slaves:1"])],
)
def test_a_selected_component_starts_its_stopped_machine_even_if_that_gets_another_size(
    status: str, steps: list[str]
) -> None:
    original = on_ec2(applied_request(), "large")
    node = replace(original.state.nodes["slaves:1"], status=status)
    others = {name: found for name, found in original.state.applied.items() if name != "slaves:1"}
    state = replace(with_node(original.state, "slaves:1", node), applied=others)
    component = "slaves:1/scale-down-workflow::member"
    plan = compile_plan(replace(original, state=state, selection=Selection(only=(component,))))
    assert [f"{leaf.type} {leaf.node}" for leaf in plan.leaves()] == steps
    excluded = Selection(only=(component,), exclude=("resize_nodes_stage",))
    plan = compile_plan(replace(original, state=state, selection=excluded))
    assert [f"{leaf.type} {leaf.node}" for leaf in plan.leaves()] == ([] if status == "stopped" else steps)


@given(sketches(), st.frozensets(st.sampled_from(TERMS), max_size=2), st.frozensets(st.sampled_from(TERMS), max_size=2))
def test_a_part_and_what_it_leaves_out_are_the_whole(
    sketch: Sketch, only: frozenset[str], exclude: frozenset[str]
) -> None:
    request = request_for(sketch)
    whole = compile_plan(request)
    known = {term for step in steps_of(whole) for term in named_by(step)} | {"create_nodes_stage"}
    selection = Selection(tuple(sorted(only & known)), tuple(sorted(exclude & known)))
    part = part_or_refusal(replace(request, selection=selection))
    if isinstance(part, InvalidError):
        assert {problem.message.partition(", ")[2] for problem in part.problems} == {"which has no value yet"}
        event("refused")
        return
    event("some of it" if part.stages and part.left_out else "all or nothing of it")
    assert_every_value_is_made_before_it_is_taken(part)
    done = list(steps_of(part))
    assert len(set(done)) == len(done)
    assert set(done).isdisjoint(part.left_out)
    assert sorted([*done, *part.left_out]) == sorted(steps_of(whole))
    excluded = [step for step in done if named_by(step) & set(selection.exclude)]
    assert not excluded
    after = applied(part, request.state)
    rest = compile_plan(replace(request, state=after))
    assert_every_value_is_made_before_it_is_taken(rest)
    assert compile_plan(replace(request, state=applied(rest, after))).is_empty

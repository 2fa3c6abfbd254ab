"""A plan reads a target's properties from its description: wording, region and power never depend on its type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from dtk import targets
from dtk.errors import InvalidError
from dtk.model.target import Target
from dtk.nodes.ec2.description import EC2
from dtk.nodes.hosts.description import HOSTS
from dtk.nodes.local.description import LOCAL
from dtk.plan.location import check_location
from dtk.state.model import NodeState, State
from dtk.targets import describe, descriptions, planned_target

IN_EUROPE = State("spark1", "l", nodes={"master": NodeState("i-1", "running", {}, {"region": "eu-west-1"})})
NOT_A_DESCRIPTION = "text"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Return a list to which a test adds the entry points of other distributions."""
    points: list[EntryPoint] = []

    def of_group() -> Iterator[EntryPoint]:
        yield from points

    monkeypatch.setattr(targets, "_entry_points", of_group)
    return points


def entry_point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, targets.ENTRY_POINTS)


def test_nodes_stay_in_the_region_that_they_were_made_in() -> None:
    check_location(IN_EUROPE, Target("cloud", EC2, {"region": "eu-west-1"}))
    check_location(IN_EUROPE, Target("cloud", EC2))
    check_location(State("spark1", "l"), Target("rack", HOSTS))
    with pytest.raises(InvalidError, match=r"in region eu-west-1, and target 'cloud' is in region us-east-1 now"):
        check_location(IN_EUROPE, Target("cloud", EC2, {"region": "us-east-1"}))
    with pytest.raises(InvalidError, match=r"in region eu-west-1, and target 'rack' is hosts"):
        check_location(IN_EUROPE, Target("rack", HOSTS))


def test_another_type_of_target_in_the_same_region_is_no_other_place() -> None:
    pool = replace(LOCAL, type="pool", region=lambda target: "eu-west-1")
    check_location(IN_EUROPE, Target("pool", pool))


def test_hosts_that_are_kept_for_nodes_are_counted_for_them_alone() -> None:
    hosts = {"a": {"nodes": ["slaves"]}, "b": {}, "c": {"nodes": ["master"]}}
    rack = Target("rack", HOSTS, {"hosts": hosts})
    assert [*HOSTS.nodes_without_machine(rack, ["master", "slaves:1", "slaves:2"], {})] == []
    assert [*HOSTS.nodes_without_machine(rack, ["master", "edge", "slaves:1", "slaves:2"], {})] == ["slaves:2"]
    assert [*HOSTS.nodes_without_machine(rack, ["edge", "slaves:1", "other"], {"edge": "b"})] == ["other"]
    assert [*LOCAL.nodes_without_machine(Target("local", LOCAL), ["a"] * 1000, {})] == []


def test_what_can_not_be_powered_is_known_before_a_task() -> None:
    assert EC2.power_refusal("stop", {"market": "spot"}) == "a one-time spot instance can't be stopped"
    assert EC2.power_refusal("start", {"market": "spot"}) == ""
    assert "does not power hosts" in HOSTS.power_refusal("stop", {})
    assert LOCAL.power_refusal("stop", {}) == ""


def test_entry_points_are_read_only_for_a_type_that_dtk_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Iterator[EntryPoint]:
        raise AssertionError("entry points were read")

    monkeypatch.setattr(targets, "_entry_points", refused)
    assert [describe(type_).type for type_ in ("local", "hosts", "ec2")] == ["local", "hosts", "ec2"]
    with pytest.raises(AssertionError):
        describe("other")


def test_an_unknown_type_says_which_there_are(installed: list[EntryPoint]) -> None:
    installed.append(entry_point("classroom", "nowhere:IT"))
    with pytest.raises(
        InvalidError, match="unknown target type 'classrom': this dtk has local, hosts, ec2, classroom"
    ) as wrong:
        planned_target({"name": "room", "type": "classrom"})
    assert wrong.value.hint == "did you mean 'classroom'?"


@pytest.mark.parametrize("value", ["tests.plan.test_targets:NOT_A_DESCRIPTION", "dtk.nodes.local.description:LOCAL"])
def test_an_entry_point_has_to_be_a_description_of_its_own_type(installed: list[EntryPoint], value: str) -> None:
    installed.append(entry_point("other", value))
    with pytest.raises(InvalidError, match="is not a TargetDescription of that type"):
        describe("other")


def test_a_type_of_dtk_is_not_replaced_and_a_broken_one_hides_no_other(installed: list[EntryPoint]) -> None:
    installed += [entry_point("ec2", "dtk.nodes.local.description:LOCAL"), entry_point("broken", "nowhere:IT")]
    assert describe("ec2") is EC2
    assert [one.type for one in descriptions()] == ["local", "hosts", "ec2"]

"""Tests of a node's own attributes in links: those of the state, and those that an older dtk did not record there."""

from __future__ import annotations

from typing import cast

from dtk.model.module import Assembly
from dtk.model.value import Known, Reference
from dtk.plan.resolve.topology import Topology
from dtk.plan.resolve.values import Values
from dtk.state.model import NodeState, State


def test_the_zone_of_a_machine_that_an_older_dtk_made_is_unknown_and_no_mistake() -> None:
    topology = Topology(cast(Assembly, None), {}, {}, {})
    nodes = {
        "old": NodeState("i-1", "running", {}, {"host_address": "10.0.0.1"}),
        "new": NodeState("i-2", "running", {}, {"availability_zone": "us-east-1a"}),
    }
    values = Values(topology, [], State("s", "l", nodes=nodes), frozenset({"made"}), frozenset())
    assert values.node_attribute("old", "availability_zone") == Known("")
    assert values.node_attribute("new", "availability_zone") == Known("us-east-1a")
    assert values.node_attribute("made", "availability_zone") == Reference("made/availability_zone", "json")

"""Tests of the tags that name an instance's node for people. dtk itself relies on the launch's tags."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.nodes.ec2 import aws, naming
from dtk.nodes.provider import NodeRequest
from tests.ec2.cloud import Cloud, Reports
from tests.support.ec2 import Fault


def tags(cloud: Cloud, made: Reports, *names: str) -> dict[str, Any]:
    """Return the values of these tags for each node's instance."""
    found = cloud.client().describe_instances()["Reservations"]
    by_id = {i["InstanceId"]: {t["Key"]: t["Value"] for t in i["Tags"]} for r in found for i in r["Instances"]}
    return {node: tuple(by_id[record.id].get(name) for name in names) for node, record in made.records.items()}


def test_each_instance_of_one_launch_is_named_for_its_node(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1", "slaves:2", "slaves:10")
    assert tags(cloud, made, "Name", "dtk:node") == {
        node: (f"dtk-spark1/{node}", node) for node in ("master", "slaves:1", "slaves:2", "slaves:10")
    }
    assert {nodes for (nodes,) in tags(cloud, made, "dtk:nodes").values()} == {"master slaves:1-2 slaves:10"}


def test_a_single_node_is_named_by_its_launch(cloud: Cloud) -> None:
    made = cloud.create("master")
    assert tags(cloud, made, "Name", "dtk:node") == {"master": ("dtk-spark1/master", "master")}
    assert cloud.api.called("CreateTags") == []


def test_a_name_that_people_gave_stays(cloud: Cloud) -> None:
    made = cloud.create("slaves:1", "slaves:2", tags={"Name": "ours", "dtk:lineage": "not theirs to set"})
    assert set(tags(cloud, made, "Name", "dtk:lineage").values()) == {("ours", cloud.identity().lineage)}
    assert tags(cloud, made, "dtk:node") == {"slaves:1": ("slaves:1",), "slaves:2": ("slaves:2",)}


def test_names_that_can_not_be_given_fail_no_node_and_are_tried_once(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("CreateTags", "UnauthorizedOperation", status=403, times=99))
    made = cloud.create("slaves:1", "slaves:2", "slaves:3")
    assert made.errors == {}
    assert len(made.records) == 3
    assert len(cloud.api.called("CreateTags")) == 1


def test_names_are_not_waited_for_longer_than_that(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "TRIES", 1)
    monkeypatch.setattr(naming, "NAMING_SECONDS", 0.5)
    cloud.api.faults.append(Fault("CreateTags", "RequestLimitExceeded", status=503, times=10**6))
    made = cloud.create("slaves:1", "slaves:2")
    assert made.errors == {}
    assert len(made.records) == 2


def test_an_instance_that_a_task_which_died_made_is_named_by_the_next(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("CreateTags", "InternalError", times=99))
    cloud.create("slaves:1", "slaves:2")
    cloud.api.faults.clear()
    made = Reports()
    cloud.provider().create(cloud.identity(), [NodeRequest("slaves:1"), NodeRequest("slaves:2")], made)
    assert tags(cloud, made, "dtk:node") == {"slaves:1": ("slaves:1",), "slaves:2": ("slaves:2",)}

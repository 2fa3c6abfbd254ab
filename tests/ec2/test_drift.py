"""Tests of changes made outside dtk: terminated, stopped, retyped and retagged instances, and orphans."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dtk.__main__ import run
from dtk.nodes.records import record_of
from dtk.refresh.node_drift import look
from dtk.state.store import load_state
from tests.ec2.cloud import WORKSPACE, Cloud, Reports, nodes_in_state, write_target


def test_what_changed_behind_dtks_back_is_told_noted_and_planned(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    client, ids = cloud.client(), {node: record.id for node, record in service.records.items()}
    client.terminate_instances(InstanceIds=[ids["slaves:1"]])
    client.stop_instances(InstanceIds=[ids["slaves:2"]])
    client.create_tags(Resources=[ids["master"]], Tags=[{"Key": "team", "Value": "other"}])
    capsys.readouterr()
    assert run(["plan", "spark1", "--refresh", "--detailed-exitcode"]) == 10
    output = capsys.readouterr().out
    assert f"Found: slaves:1: {ids['slaves:1']} is gone" in output
    assert f"Found: slaves:2: {ids['slaves:2']} is stopped (was running)" in output
    assert "Found: master: tags/team " in output
    assert "{" not in output.partition("Found: master: tags")[2].partition("\n")[0]
    assert "+ create slaves:1" in output
    assert "> start slaves:2" in output
    assert nodes_in_state(cloud) == {"master": "running", "slaves:1": "running", "slaves:2": "running"}, "only asked"
    assert run(["plan", "spark1", "--refresh", "--out", "plan.json"]) == 0
    assert "Found: slaves:1" in capsys.readouterr().out
    assert nodes_in_state(cloud) == {"master": "running", "slaves:2": "stopped"}, "what a plan is for is noted"
    assert run(["plan", "spark1", "--refresh"]) == 0
    assert "Found" not in capsys.readouterr().out


def test_a_retyped_instance_is_told(cloud: Cloud, service: Reports) -> None:
    client, record = cloud.client(), service.records["master"]
    client.stop_instances(InstanceIds=[record.id])
    cloud.api._moving.clear()
    client.modify_instance_attribute(InstanceId=record.id, InstanceType={"Value": "m5.large"})
    client.start_instances(InstanceIds=[record.id])
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    cloud.api._moving.clear()
    _, drift = look(cloud.provider(), cloud.identity(), state)
    assert "instance_type t3.small → m5.large" in [one.what for one in drift]


def test_a_lost_state_is_made_anew_from_the_tagged_instances(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    client, ids = cloud.client(), {node: record.id for node, record in service.records.items()}
    client.terminate_instances(InstanceIds=[ids.pop("slaves:1")])
    client.stop_instances(InstanceIds=list(ids.values()))
    cloud.api._moving.clear()
    file = cloud.workspace.state_file("spark1")
    file.unlink()
    assert run(["state", "rebuild", "spark1", "--yes"]) == 0
    assert "2 nodes, 0 components applied; 0 tasks read" in capsys.readouterr().out
    assert nodes_in_state(cloud) == {"master": "stopped", "slaves:2": "stopped"}
    state = load_state(file)
    assert state is not None
    assert state.lineage == cloud.identity().lineage
    # Compare with the mock EC2's own list of instances.
    assert {node.id for node in state.nodes.values()} == set(ids.values()) == {one.id for one in cloud.instances()}


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run(["list-nodes", "--orphans", "--json", *options]) == 0
    return list(json.loads(capsys.readouterr().out))


def reach_nothing(cloud: Cloud) -> None:
    """Connect to instances through a program that fails: whether packets to their addresses are dropped differs."""
    write_target(cloud, proxy_command="false")


def test_orphans_are_listed_and_adopted(cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]) -> None:
    reach_nothing(cloud)
    assert listed(capsys) == []
    Path(cloud.workspace.state_file("spark1")).unlink()
    assert {row["node"] for row in listed(capsys)} == {"master", "slaves:1", "slaves:2"}
    assert run(["list-nodes", "--orphans", "--adopt"]) == 0
    assert nodes_in_state(cloud) == dict.fromkeys(("master", "slaves:1", "slaves:2"), "running")
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    assert state.lineage == cloud.identity().lineage
    connection = record_of("master", state.nodes["master"]).connection
    assert replace(connection, proxy_command="") == service.records["master"].connection
    assert listed(capsys) == []


def test_orphans_are_ended_when_that_is_asked_for(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(cloud.workspace.state_file("spark1")).unlink()
    assert run(["list-nodes", "--orphans", "--terminate"]) == 2
    assert len(cloud.instances()) == 3
    assert run(["list-nodes", "--orphans", "--terminate", "--yes"]) == 0
    assert cloud.instances() == []


ANOTHER = "99999999-2222-4333-8444-555555555555"


def lose_the_workspace(cloud: Cloud) -> None:
    """Give the workspace another id and the service another one, without a state: a clone in which all of it is new."""
    cloud.workspace.state_file("spark1").unlink()
    for file, id_ in (
        (cloud.workspace.file, WORKSPACE),
        (cloud.workspace.service_file("spark1"), cloud.identity().lineage),
    ):
        assert id_ in file.read_text()
        file.write_text(file.read_text().replace(id_, ANOTHER))


def test_instances_of_a_lost_workspace_are_found_by_lineage_or_tag_and_adopted(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    lineage = cloud.identity().lineage
    reach_nothing(cloud)
    lose_the_workspace(cloud)
    client, ids = cloud.client(), {node: record.id for node, record in service.records.items()}
    client.create_tags(Resources=[ids["slaves:1"]], Tags=[{"Key": "team", "Value": "data"}])
    # An instance that dtk never tagged is nobody's node.
    other = client.run_instances(
        ImageId=cloud.image, SubnetId=cloud.subnets[0], MinCount=1, MaxCount=1, InstanceType="t3.small"
    )
    client.create_tags(Resources=[other["Instances"][0]["InstanceId"]], Tags=[{"Key": "team", "Value": "data"}])
    assert listed(capsys) == []
    assert [row["node"] for row in listed(capsys, "--tag", "team=data")] == ["slaves:1"]
    assert listed(capsys, "--tag", "team=data", "--lineage", ANOTHER) == []
    rows = listed(capsys, "--lineage", lineage)
    assert [(row["node"], row["workspace"], row["lineage"]) for row in rows] == [
        (node, WORKSPACE, lineage) for node in ("master", "slaves:1", "slaves:2")
    ]
    assert run(["list-nodes", "--orphans", "--lineage", lineage]) == 0
    assert WORKSPACE in capsys.readouterr().out
    assert run(["list-nodes", "--orphans", "--lineage", lineage, "--adopt"]) == 2
    assert "Adopt 3 instances of another workspace" in capsys.readouterr().err
    assert not cloud.workspace.state_file("spark1").exists()
    assert run(["list-nodes", "--orphans", "--lineage", lineage, "--adopt", "--yes"]) == 0
    assert nodes_in_state(cloud) == dict.fromkeys(("master", "slaves:1", "slaves:2"), "running")
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    assert state.lineage == ANOTHER
    own = {
        tag["Key"]: tag["Value"]
        for tag in client.describe_tags(Filters=[{"Name": "resource-id", "Values": [ids["master"]]}])["Tags"]
    }
    assert (own["dtk:lineage"], own["dtk:workspace"]) == (ANOTHER, ANOTHER)
    # It is this workspace's now, in every clone of it.
    cloud.workspace.state_file("spark1").unlink()
    assert len(listed(capsys)) == 3


def test_instances_of_a_lost_workspace_are_terminated_by_tag(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_the_workspace(cloud)
    slaves = [service.records[node].id for node in ("slaves:1", "slaves:2")]
    cloud.client().create_tags(Resources=slaves, Tags=[{"Key": "team", "Value": "data"}])
    one = ["list-nodes", "--orphans", "--tag", "team=data", "--tag", "dtk:service=spark1", "--terminate"]
    assert run(one) == 2
    assert "Terminate 2 instances for good?" in capsys.readouterr().err
    assert run([*one, "--yes"]) == 0
    assert [instance.id for instance in cloud.instances()] == [service.records["master"].id]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tag", "team=data"], "need --orphans"),
        (["--lineage", ANOTHER], "need --orphans"),
        (["--orphans", "--tag", "team"], "'team' is not a tag"),
    ],
)
def test_tags_and_lineages_are_for_orphans(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert run(["--workspace", str(cloud.workspace.root), "list-nodes", *options]) == 2
    assert told in capsys.readouterr().err

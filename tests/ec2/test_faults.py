"""Tests of EC2 faults: no instance is created twice or lost, and errors state the reason."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.errors import DtkError
from dtk.nodes.ec2 import aws
from dtk.nodes.provider import Connection, NodeRecord, NodeRequest
from tests.ec2.cloud import Cloud, Reports
from tests.support import ec2 as test_ec2
from tests.support.ec2 import Fault


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "TRIES", 3)
    monkeypatch.setattr(aws, "LONGEST_PAUSE_SECONDS", 0.2)


def counted(cloud: Cloud, made: Reports) -> None:
    """Assert that the existing instances are exactly the reported ones."""
    assert {instance.id for instance in cloud.instances()} == {record.id for record in made.records.values()}
    assert len(cloud.instances()) == len(made.records)


def test_throttling_never_fails_a_node(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    # Throttle for longer than botocore retries. Use one try, because botocore waits longer after each.
    monkeypatch.setattr(aws, "TRIES", 1)
    cloud.api.faults += [
        Fault("RunInstances", "RequestLimitExceeded", status=503, times=2),
        Fault("DescribeInstances", "RequestLimitExceeded", status=503, times=1),
    ]
    made = cloud.create("master", "slaves:1")
    assert made.errors == {}
    counted(cloud, made)


def test_an_answer_that_is_lost_once_makes_no_second_instance(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("RunInstances", lost=True))
    made = cloud.create("master", "slaves:1", "slaves:2")
    assert made.errors == {}
    assert len({call["ClientToken"] for call in cloud.api.called("RunInstances")}) == 1
    assert len(cloud.api.called("RunInstances")) == 2
    counted(cloud, made)


def test_answers_that_are_all_lost_leave_instances_that_the_next_task_finds(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("RunInstances", lost=True, times=99))
    lost = cloud.create("master", "slaves:1")
    assert "no response to ec2:RunInstances" in lost.errors["master"].message
    assert len(cloud.instances()) == 2
    cloud.api.faults.clear()
    cloud.task = 2
    made = cloud.create("master", "slaves:1")
    assert made.errors == {}
    counted(cloud, made)


def again(cloud: Cloud, lost: Reports, *nodes: str, task: int = 2, **attributes: Any) -> Reports:
    """Create nodes in another task, which knows what the first task recorded."""
    known = {node: known for nodes, known in lost.recorded for node in nodes}
    cloud.task, made = task, Reports()
    requests = [NodeRequest(node, attributes, known.get(node, {})) for node in nodes]
    cloud.provider().create(cloud.identity(), requests, made, made.record)
    return made


def lose(cloud: Cloud, *nodes: str) -> Reports:
    """Create nodes while every RunInstances call takes effect without an answer. Then clear the faults and calls."""
    cloud.api.faults.append(Fault("RunInstances", lost=True, times=99))
    lost = cloud.create(*nodes)
    assert lost.errors.keys() == set(nodes)
    cloud.api.faults.clear()
    cloud.api.calls.clear()
    return lost


def test_instances_that_can_not_be_seen_yet_are_asked_for_with_the_token_of_their_call(cloud: Cloud) -> None:
    lost = lose(cloud, "slaves:1", "slaves:2")
    cloud.api.blind = 1
    made = again(cloud, lost, "slaves:1", "slaves:2")
    assert made.errors == {}
    counted(cloud, made)
    assert {call["ClientToken"] for call in cloud.api.called("RunInstances")} == {lost.recorded[0][1]["client_token"]}


def test_a_call_that_did_not_take_effect_does_so_with_its_own_token(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("RunInstances", "InternalError", status=500, times=99))
    lost = cloud.create("master")
    assert "InternalError" in lost.errors["master"].message
    assert lost.recorded[-1][1]["client_token"]
    cloud.api.faults.clear()
    made = again(cloud, lost, "master")
    assert {call["ClientToken"] for call in cloud.api.called("RunInstances")} == {lost.recorded[0][1]["client_token"]}
    counted(cloud, made)


def test_no_other_token_is_used_while_it_is_not_known_what_became_of_the_first(cloud: Cloud) -> None:
    lost = lose(cloud, "master")
    cloud.api.blind = 1
    cloud.api.faults.append(Fault("RunInstances", "RequestLimitExceeded", status=503, times=2))
    cloud.api.faults.append(Fault("RunInstances", "UnauthorizedOperation", status=403))
    refused = again(cloud, lost, "master")
    assert "the permission ec2:RunInstances is missing" in refused.errors["master"].message
    assert refused.recorded == []
    counted(cloud, again(cloud, lost, "master", task=3))


def test_a_lost_call_whose_nodes_ask_for_something_else_now_is_waited_for(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtk.nodes.ec2.made.PAUSE_SECONDS", 0.05)
    lost = lose(cloud, "master")
    cloud.api.blind = 4
    made = again(cloud, lost, "master", root_device_size=40)
    assert made.errors == {}
    counted(cloud, made)


def test_a_lost_call_for_more_nodes_than_are_wanted_now_is_not_repeated(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtk.nodes.ec2.made.PAUSE_SECONDS", 0.05)
    lost = lose(cloud, "slaves:1", "slaves:2")
    cloud.api.blind = 3
    made = again(cloud, lost, "slaves:1")
    assert cloud.api.called("RunInstances") == []
    assert {record.id for record in made.records.values()} < {instance.id for instance in cloud.instances()}


def test_a_lost_call_whose_instances_have_ended_gives_way_to_another(cloud: Cloud) -> None:
    lost = lose(cloud, "master")
    cloud.client().terminate_instances(InstanceIds=[instance.id for instance in cloud.instances()])
    made = again(cloud, lost, "master")
    assert made.errors == {}
    assert len({call["ClientToken"] for call in cloud.api.called("RunInstances")}) == 2
    counted(cloud, made)


def test_a_token_that_was_used_up_gives_way_to_the_next(cloud: Cloud) -> None:
    first = cloud.create("master")
    cloud.client().terminate_instances(InstanceIds=[first.records["master"].id])
    # Repeat the task, as if the state had been restored from before it.
    made = cloud.create("master")
    assert made.errors == {}
    counted(cloud, made)


def test_a_node_that_is_ended_before_its_instance_could_be_seen_is_waited_for(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtk.nodes.ec2.made.PAUSE_SECONDS", 0.05)
    lost = lose(cloud, "master")
    cloud.api.blind = 3
    ended = Reports()
    pending = NodeRecord("master", "", "pending", Connection(""), lost.recorded[-1][1])
    cloud.provider().terminate(cloud.identity(), [pending], ended)
    assert ended.records["master"].status == "terminated"
    assert cloud.instances() == []


def test_a_call_that_is_long_settled_is_not_waited_for(cloud: Cloud) -> None:
    known = {"client_token": "dtk-never-taken", "requested": "master", "requested_at": "1000"}
    ended = Reports()
    cloud.provider().terminate(cloud.identity(), [NodeRecord("master", "", "pending", Connection(""), known)], ended)
    assert ended.records["master"].status == "terminated"


def test_a_process_that_dies_after_the_call_leaves_an_instance_that_the_next_one_finds(cloud: Cloud) -> None:
    class DiedError(Exception):
        pass

    def die(*_: object) -> None:
        raise DiedError

    with pytest.raises(DiedError):
        cloud.provider().create(cloud.identity(), [NodeRequest("master")], die)
    cloud.task = 2
    made = cloud.create("master", "slaves:1")
    counted(cloud, made)
    ended = Reports()
    blank = [NodeRecord(node, "", "pending", record.connection) for node, record in made.records.items()]
    cloud.provider().terminate(cloud.identity(), blank, ended)
    assert cloud.instances() == []


def test_the_token_is_on_record_before_the_call(cloud: Cloud) -> None:
    order: list[str] = []
    reports = Reports()
    requests = [NodeRequest("master")]

    def record(nodes: object, known: object) -> None:
        order.append(f"recorded after {len(cloud.api.called('RunInstances'))} calls")
        reports.record(nodes, known)

    cloud.provider().create(cloud.identity(), requests, reports, record)
    assert order == ["recorded after 0 calls"]
    assert reports.recorded[0][1]["client_token"] == cloud.api.called("RunInstances")[0]["ClientToken"]


def test_no_capacity_in_one_subnet_is_looked_for_in_the_next(cloud: Cloud) -> None:
    cloud.api.capacity[cloud.subnets[0]] = 2
    made = cloud.create("slaves:1", "slaves:2", "slaves:3")
    assert made.errors == {}
    assert [made.records[node].attributes["subnet"] for node in sorted(made.records)] == [
        cloud.subnets[0],
        cloud.subnets[0],
        cloud.subnets[1],
    ]
    counted(cloud, made)


def test_no_capacity_of_one_type_is_looked_for_in_the_next_and_then_fails_that_node_alone(cloud: Cloud) -> None:
    cloud.api.capacity |= {"m5.large": 1, "m5a.large": 1}
    made = cloud.create("slaves:1", "slaves:2", "slaves:3", instance_type=["m5.large", "m5a.large"])
    assert sorted(str(record.attributes["instance_type"]) for record in made.records.values()) == [
        "m5.large",
        "m5a.large",
    ]
    assert list(made.errors) == ["slaves:3"]
    assert "InsufficientInstanceCapacity" in made.errors["slaves:3"].message
    counted(cloud, made)


def test_too_little_room_in_the_last_place_is_told_as_ec2_tells_it(cloud: Cloud) -> None:
    cloud.api.capacity["t3.small"] = 1
    made = cloud.create("slaves:1", "slaves:2", availability_zone="us-east-1b")
    assert list(made.records) == ["slaves:1"]
    assert "InsufficientInstanceCapacity" in made.errors["slaves:2"].message
    counted(cloud, made)


def test_spot_falls_back_to_on_demand(cloud: Cloud) -> None:
    def is_spot(call: dict[str, str]) -> bool:
        return "InstanceMarketOptions.MarketType" in call

    cloud.api.faults.append(Fault("RunInstances", "InsufficientInstanceCapacity", times=99, suits=is_spot))
    made = cloud.create("master", spot=True, spot_max_price="0.05")
    assert made.errors == {}
    first = cloud.api.called("RunInstances")[0]
    assert first["InstanceMarketOptions.SpotOptions.MaxPrice"] == "0.05"
    assert made.records["master"].attributes["market"] == "on-demand"
    counted(cloud, made)


@pytest.mark.parametrize(
    ("code", "message", "expected", "hint"),
    [
        (
            "UnauthorizedOperation",
            "User: arn:aws:iam::1:user/x is not authorized to perform: ec2:RunInstances on resource: x",
            "the permission ec2:RunInstances is missing",
            "add it to the policy",
        ),
        ("VcpuLimitExceeded", "You have requested more vCPU capacity", "the account's limit was reached", "more vCPUs"),
        ("InstanceLimitExceeded", "Your quota allows 0 more", "the account's limit was reached", "terminate instances"),
        ("VolumeLimitExceeded", "Too many volumes", "the account's limit was reached", "delete volumes"),
    ],
)
def test_what_an_account_may_not_do_is_said(cloud: Cloud, code: str, message: str, expected: str, hint: str) -> None:
    cloud.api.faults.append(Fault("RunInstances", code, message))
    refused = cloud.create("master")
    assert expected in refused.errors["master"].message
    assert hint in refused.errors["master"].hint
    assert refused.recorded[-1] == (["master"], {})
    assert cloud.instances() == []


def test_a_missing_permission_of_a_preparing_call_is_named(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("ImportKeyPair", "UnauthorizedOperation", "You are not authorized", status=403))
    with pytest.raises(DtkError, match="the permission ec2:ImportKeyPair is missing"):
        cloud.create("master")
    assert cloud.instances() == []


def test_missing_credentials_are_told_plainly(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DtkError, match="no AWS credentials"):
        cloud.create("master")


def test_an_answer_that_is_not_of_aws_is_no_answer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_ec2, "ERROR", "<!doctype html><title>{code} {message}</title>")
    cloud.api.faults.append(Fault("RunInstances", "Bad Gateway", status=502, times=99))
    lost = cloud.create("master")
    assert "no response to ec2:RunInstances" in lost.errors["master"].message
    assert lost.recorded[-1][1]["client_token"]


def test_instances_that_share_a_launch_index_are_as_many_as_were_asked_for(cloud: Cloud) -> None:
    cloud.api.same_index = True
    nodes = [f"slaves:{number}" for number in range(1, 9)]
    made = cloud.create(*nodes)
    assert made.errors == {}
    assert sorted(made.records) == nodes
    assert len(cloud.api.called("RunInstances")) == 1
    counted(cloud, made)
    # Another process finds each node's instance again by its tags alone.
    again = cloud.create(*nodes)
    assert {node: record.id for node, record in again.records.items()} == {n: r.id for n, r in made.records.items()}
    counted(cloud, again)


def test_instances_that_share_a_launch_index_are_found_after_their_answer_was_lost(cloud: Cloud) -> None:
    cloud.api.same_index = True
    lost = lose(cloud, "slaves:1", "slaves:2", "slaves:3")
    made = again(cloud, lost, "slaves:1", "slaves:2", "slaves:3")
    assert made.errors == {}
    counted(cloud, made)


def test_a_token_that_another_call_has_taken_gives_the_instances_of_that_call(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another dtk uses the task's token with different tags. It gets the existing instance, however late it shows."""
    monkeypatch.setattr("dtk.nodes.ec2.made.PAUSE_SECONDS", 0.05)
    first = cloud.create("master")
    cloud.api.blind = 4
    made = cloud.create("master", provider=cloud.provider(tags={"team": "data"}))
    assert made.records["master"].id == first.records["master"].id
    assert len({call["ClientToken"] for call in cloud.api.called("RunInstances")}) == 1
    counted(cloud, made)


def test_every_list_is_asked_for_in_pages(cloud: Cloud, service: Reports) -> None:
    cloud.provider().terminate(cloud.identity(), list(service.records.values()), lambda *_: None)
    lists = {action for action, _ in cloud.api.calls if action.startswith("Describe")} - {"DescribeKeyPairs"}
    assert {"DescribeInstances", "DescribeImages", "DescribeSubnets", "DescribeSecurityGroups"} <= lists
    for action in lists:
        assert all(int(call["MaxResults"]) >= 5 for call in cloud.api.called(action)), action

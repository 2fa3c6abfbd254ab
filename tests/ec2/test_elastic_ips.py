"""Tests of addresses that stay with a node over stops and replacements."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.__main__ import run
from dtk.nodes.provider import NodeRequest
from dtk.state.store import load_state
from tests.ec2.balanced import shown
from tests.ec2.cloud import Cloud, Reports, save
from tests.support.ec2 import Fault


def addresses(cloud: Cloud) -> dict[str, str]:
    """Return the elastic IPs by address, each with the id of its instance."""
    return {one["PublicIp"]: one.get("InstanceId", "") for one in cloud.client().describe_addresses()["Addresses"]}


def of(made: Reports, node: str) -> Any:
    return made.records[node].attributes


def test_an_address_is_allocated_once_and_moves_to_the_next_instance_of_its_node(cloud: Cloud) -> None:
    made = cloud.create("edge", "web:1", elastic_ip=True)
    assert made.errors == {}
    fixed = of(made, "edge")["public_address"]
    assert addresses(cloud)[fixed] == made.records["edge"].id
    (tags,) = [one["Tags"] for one in cloud.client().describe_addresses()["Addresses"] if one["PublicIp"] == fixed]
    assert {"Key": "dtk:node", "Value": "edge"} in tags
    assert of(made, "edge")["reserved"] == [f"elastic IP {fixed} ({of(made, 'edge')['elastic_ip']})"]
    cloud.provider().stop(cloud.identity(), [made.records["edge"]], Reports())
    started = Reports()
    cloud.provider().start(cloud.identity(), [made.records["edge"]], started)
    assert of(started, "edge")["public_address"] == fixed
    cloud.provider().terminate(cloud.identity(), [made.records["edge"]], Reports())
    cloud.task = 2
    again = cloud.create("edge", elastic_ip=True)
    assert again.records["edge"].id != made.records["edge"].id
    assert of(again, "edge")["public_address"] == fixed
    assert len(cloud.api.called("AllocateAddress")) == 2, "one for each node"
    # Once before, once after an allocation, for all nodes; the rest are this test's own.
    assert len(cloud.api.called("DescribeAddresses")) - 2 == 3


def test_an_answer_that_is_lost_leaves_no_second_address(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("AllocateAddress", lost=True))
    made = cloud.create("edge", elastic_ip=True)
    assert made.errors == {}
    assert list(addresses(cloud)) == [of(made, "edge")["public_address"]]
    # One whose association fails is recorded already, so that it can be released.
    cloud.api.faults.append(Fault("AssociateAddress", "InternalFailure", "try again"))
    failed = cloud.create("web:1", elastic_ip=True)
    assert list(failed.errors) == ["web:1"]
    (known,) = [known for nodes, known in failed.recorded if nodes == ["web:1"] and "reserved" in known]
    assert known["reserved"].split()[2] in addresses(cloud)


def test_a_task_that_ends_between_an_address_and_its_association_keeps_what_identifies_the_instance(
    cloud: Cloud, service: Reports
) -> None:
    assert run(["set-attribute", "spark1", "slaves/elastic_ip", "true"]) == 0
    gone = service.records.pop("slaves:1")
    cloud.provider().terminate(cloud.identity(), [gone], Reports())
    save(cloud, service)
    cloud.api.faults.append(Fault("AssociateAddress", "InternalFailure", "try again"))
    assert run(["apply", "spark1", "--yes", "--only", "slaves:1"]) == 1
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    assert {"reserved", "account", "region"} <= state.nodes["slaves:1"].attributes.keys()


def test_a_given_address_is_neither_taken_from_another_machine_nor_released(cloud: Cloud) -> None:
    given = cloud.client().allocate_address(Domain="vpc")["AllocationId"]
    made = cloud.create("edge", elastic_ip=given)
    assert (of(made, "edge")["elastic_ip"], "reserved" in of(made, "edge")) == (given, False)
    other = Reports()
    cloud.provider().create(cloud.identity("other"), [NodeRequest("edge", {"elastic_ip": given})], other)
    assert "Resource.AlreadyAssociated" in other.errors["edge"].message
    for service, reports in (("spark1", made), ("other", other)):
        cloud.provider().terminate(cloud.identity(service), list(reports.records.values()), Reports())
        cloud.provider().release(cloud.identity(service))
    assert len(addresses(cloud)) == 1


def test_addresses_given_by_id_are_asked_for_once_and_an_unknown_one_fails_its_node_alone(cloud: Cloud) -> None:
    given = {f"web:{number}": cloud.client().allocate_address(Domain="vpc")["AllocationId"] for number in (1, 2, 3)}
    requests = [NodeRequest(node, {"elastic_ip": id_}) for node, id_ in given.items()]
    requests.append(NodeRequest("edge", {"elastic_ip": "eipalloc-0123456789"}))
    cloud.api.calls.clear()
    made = Reports()
    cloud.provider().create(cloud.identity(), requests, made)
    assert {node: of(made, node)["elastic_ip"] for node in made.records} == given
    assert "there is no elastic IP eipalloc-0123456789 in us-east-1" in made.errors["edge"].message
    assert len(cloud.api.called("DescribeAddresses")) == 1


def test_a_quota_that_is_reached_fails_that_node_alone_and_names_the_quota(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("AllocateAddress", "AddressLimitExceeded", "Too many addresses allocated"))
    made = cloud.create("edge", "web:1", elastic_ip=True)
    assert len(made.errors) == len(made.records) == 1
    (error,) = made.errors.values()
    assert "Too many addresses allocated (AddressLimitExceeded)" in error.message
    assert "release elastic IPs" in error.hint
    assert "Service Quotas" in error.hint


def test_the_plan_shows_addresses_and_they_are_released_with_their_nodes(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "slaves/elastic_ip", "true"]) == 0
    assert "elastic_ip none → true: applying keeps the machine as it is" in shown(capsys, "plan", "spark1")
    assert "small, plain, elastic IP" in shown(capsys, "plan", "spark1", "--replace", "slaves:1")
    cloud.provider().terminate(cloud.identity(), list(service.records.values()), Reports())
    cloud.task = 2
    made = cloud.create("slaves:1", "slaves:2", elastic_ip=True)
    made.records["master"] = cloud.create("master").records["master"]
    save(cloud, made)
    assert run(["set-attribute", "spark1", "slaves/cardinality", "1"]) == 0
    plan = shown(capsys, "plan", "spark1")
    (reserved,) = of(made, "slaves:2")["reserved"]
    assert f"(releases {reserved})" in plan
    assert run(["apply", "spark1", "--yes"]) == 0
    fixed = of(made, "slaves:1")["public_address"]
    assert list(addresses(cloud)) == [fixed]
    # One that somebody else uses is named with what to do; everything else is removed, and a second destroy finishes.
    association, other = take(cloud, of(made, "slaves:1")["elastic_ip"])
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 1
    assert [one.id for one in cloud.instances()] == [other]
    told = " ".join(shown(capsys, "task-status", "spark1").split())
    assert f"elastic IP {fixed} ({of(made, 'slaves:1')['elastic_ip']}) of slaves:1, which instance {other} has" in told
    assert f"aws ec2 disassociate-address --association-id {association}" in told
    cloud.client().disassociate_address(AssociationId=association)
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert addresses(cloud) == {}


def take(cloud: Cloud, allocation: str) -> tuple[str, str]:
    """Give an elastic IP to another instance, as somebody else does; return the association and the instance."""
    other = cloud.client().run_instances(ImageId=cloud.image, MinCount=1, MaxCount=1, InstanceType="t3.small")
    id_ = other["Instances"][0]["InstanceId"]
    given = cloud.client().associate_address(AllocationId=allocation, InstanceId=id_, AllowReassociation=True)
    return given["AssociationId"], id_


def test_an_address_that_can_not_be_released_holds_up_no_other_one(cloud: Cloud) -> None:
    made = cloud.create("edge", "web:1", "web:2", elastic_ip=True)
    cloud.provider().terminate(cloud.identity(), list(made.records.values()), Reports())
    take(cloud, of(made, "edge")["elastic_ip"])
    cloud.api.calls.clear()
    problems = cloud.provider().release(cloud.identity())
    assert list(problems) == ["edge"]
    assert f"aws ec2 release-address --allocation-id {of(made, 'edge')['elastic_ip']}" in problems["edge"].hint
    assert len(cloud.api.called("DescribeAddresses")) == 1
    assert list(addresses(cloud)) == [of(made, "edge")["public_address"]]


def test_only_the_addresses_that_the_plan_names_are_released_and_none_is_forgotten(
    cloud: Cloud, service: Reports
) -> None:
    assert run(["set-attribute", "spark1", "slaves/elastic_ip", "true"]) == 0
    cloud.provider().terminate(cloud.identity(), list(service.records.values()), Reports())
    cloud.task = 2
    made = cloud.create("slaves:1", "slaves:2", elastic_ip=True)
    # A machine that is gone, as a refresh leaves it: the node is wanted, and will need its address again.
    gone = made.records.pop("slaves:1")
    cloud.provider().terminate(cloud.identity(), [gone], Reports())
    made.records["master"] = cloud.create("master").records["master"]
    save(cloud, made)
    assert run(["set-attribute", "spark1", "slaves/cardinality", "1"]) == 0
    cloud.api.faults.append(Fault("ReleaseAddress", "InternalFailure", "try again"))
    apply = ["apply", "spark1", "--yes", "--only", "slaves:2"]
    assert run(apply) == 1
    assert len(addresses(cloud)) == 2
    assert run(apply) == 0
    assert list(addresses(cloud)) == [gone.attributes["public_address"]]
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert addresses(cloud) == {}

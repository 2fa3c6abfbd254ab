"""Tests of the lifecycle of ec2 nodes: few calls to create them, found again, stopped, started, fully cleaned up."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import boto3
import pytest

from dtk.__main__ import run
from dtk.errors import DtkError, InvalidError
from dtk.nodes.ec2.tags import nodes_of, nodes_text
from tests.ec2.cloud import REGION, Cloud, Reports, save
from tests.support.ec2 import Fault


def test_a_group_of_a_hundred_nodes_is_a_handful_of_calls_and_each_instance_is_tied_to_its_node(cloud: Cloud) -> None:
    nodes = [f"slaves:{index}" for index in range(1, 101)]
    made = cloud.create("master", *nodes)
    assert made.errors == {}
    assert len(made.records) == 101
    assert len(cloud.instances()) == 101
    changing = [name for name, _ in cloud.api.calls if not name.startswith("Describe")]
    assert changing.count("RunInstances") == 2
    # CreateTags is counted separately: one call per instance, to name it for people.
    assert len([name for name, _ in cloud.api.calls if name != "CreateTags"]) < 25, cloud.api.calls
    assert len(cloud.api.called("CreateTags")) == 100
    again = cloud.create("master", *nodes)
    assert {node: record.id for node, record in again.records.items()} == {
        node: record.id for node, record in made.records.items()
    }
    assert len(cloud.instances()) == 101


def test_an_instance_is_made_as_the_node_asks(cloud: Cloud) -> None:
    made = cloud.create(
        "master",
        provider=cloud.provider(tags={"team": "data"}),
        instance_type="m5.large",
        root_device_size=40,
        volumes=[{"size": 100, "type": "st1"}],
        tags={"role": "head"},
        user_data="#!/bin/sh\ntouch /made\n",
        availability_zone="us-east-1b",
    )
    record = made.records["master"]
    call = cloud.api.called("RunInstances")[0]
    assert call["InstanceType"] == "m5.large"
    assert call["MetadataOptions.HttpTokens"] == "required"
    assert call["NetworkInterface.1.SubnetId"] == cloud.subnets[1]
    disks = {
        call[f"BlockDeviceMapping.{number}.DeviceName"]: [
            call[f"BlockDeviceMapping.{number}.Ebs.{name}"] for name in ("VolumeSize", "VolumeType", "Encrypted")
        ]
        for number in (1, 2)
    }
    assert list(disks.values()) == [["40", "gp3", "true"], ["100", "st1", "true"]]
    assert base64.b64decode(call["UserData"]).decode() == "#!/bin/sh\ntouch /made\n"
    instance = cloud.client().describe_instances(InstanceIds=[record.id])["Reservations"][0]["Instances"][0]
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    assert tags["team"] == "data"
    assert tags["role"] == "head"
    assert (tags["dtk:service"], tags["dtk:nodes"]) == ("spark1", "master")
    assert tags["dtk:version"]
    assert tags["dtk:workspace"] == cloud.identity().workspace
    assert tags["dtk:token"] == instance["ClientToken"] == made.recorded[0][1]["client_token"]
    assert len(instance["BlockDeviceMappings"]) == len(disks)
    assert all(disk["Ebs"]["DeleteOnTermination"] for disk in instance["BlockDeviceMappings"])
    assert record.connection.user == "admin"
    assert record.connection.hostname == instance["PrivateIpAddress"] == record.attributes["host_address"]


def test_a_node_with_several_types_to_choose_from_is_listed_with_the_one_it_has(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.api.capacity["m5.large"] = 0
    made = cloud.create("edge", instance_type=["m5.large", "m5a.large"])
    assert made.records["edge"].attributes["size"] == "m5a.large"
    made.records |= cloud.create("worker", size="large").records
    save(cloud, made)
    capsys.readouterr()
    assert run(["list-nodes", "spark1"]) == 0
    sizes = {row.split("|")[2].strip(): row.split("|")[4].strip() for row in listed(capsys)}
    assert {name: size for name, size in sizes.items() if size} == {"edge": "m5a.large", "worker": "large"}


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("|") and "INSTANCE" not in line]


def test_a_retyped_instance_is_listed_with_its_type_when_it_has_started(cloud: Cloud) -> None:
    made = cloud.create("edge", instance_type=["m5.large", "m5a.large"])
    stopped, started = Reports(), Reports()
    cloud.provider().stop(cloud.identity(), list(made.records.values()), stopped)
    cloud.client().modify_instance_attribute(InstanceId=made.records["edge"].id, InstanceType={"Value": "m5.xlarge"})
    cloud.provider().start(cloud.identity(), list(stopped.records.values()), started)
    assert started.records["edge"].attributes["size"] == "m5.xlarge"


def test_instances_that_do_not_fit_into_one_answer_are_all_found(cloud: Cloud) -> None:
    made = Reports()
    for node in ("master", "slaves:1", "slaves:2"):
        made.records |= cloud.create(node).records
    cloud.api.page = 1
    cloud.api.calls.clear()
    cloud.api.faults.append(Fault("DescribeInstances", "RequestLimitExceeded", status=503, suits=is_a_later_page))
    now = cloud.provider().describe(cloud.identity(), list(made.records.values()))
    assert [record.status for record in now] == ["running"] * 3
    assert [call for call in cloud.api.called("DescribeInstances") if is_a_later_page(call)]
    again = cloud.create("master", "slaves:1", "slaves:2")
    assert {record.id for record in again.records.values()} == {record.id for record in made.records.values()}
    assert cloud.api.called("RunInstances") == []


def is_a_later_page(call: dict[str, str]) -> bool:
    return "NextToken" in call


def test_the_key_of_a_service_is_made_here_and_private(cloud: Cloud) -> None:
    made = cloud.create("master")
    file = Path(made.records["master"].connection.key)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    pairs = cloud.client().describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    assert [(pair["KeyType"], pair["PublicKey"].split()[0]) for pair in pairs] == [("ed25519", "ssh-ed25519")]
    assert "PRIVATE" in file.read_text()


def test_the_security_group_lets_in_ssh_from_here_and_declared_ports_from_those_who_are_named(cloud: Cloud) -> None:
    cloud.create("master", ports=[8080], provider=cloud.provider(open_to=["192.0.2.0/24"]))
    filters = [{"Name": "tag:dtk:service", "Values": ["spark1"]}]
    groups = cloud.client().describe_security_groups(Filters=filters)["SecurityGroups"]
    assert len(groups) == 1
    rules = {
        (rule.get("FromPort"), source["CidrIp"]) for rule in groups[0]["IpPermissions"] for source in rule["IpRanges"]
    }
    assert rules == {(22, "10.80.0.1/32"), (8080, "192.0.2.0/24")}
    among = [pair for rule in groups[0]["IpPermissions"] for pair in rule["UserIdGroupPairs"]]
    assert [pair["GroupId"] for pair in among] == [groups[0]["GroupId"]]


def test_declared_ports_are_opened_to_nobody_unless_somebody_is_named(cloud: Cloud) -> None:
    cloud.create("master", ports=[8080])
    opened = [call.get("IpPermissions.1.FromPort") for call in cloud.api.called("AuthorizeSecurityGroupIngress")]
    assert opened == [None, "22"]


def test_stopped_nodes_keep_their_instance_and_get_new_addresses(cloud: Cloud) -> None:
    provider = cloud.provider(addresses="public")
    made = cloud.create("master", "slaves:1", provider=provider)
    stopped, started = Reports(), Reports()
    provider.stop(cloud.identity(), list(made.records.values()), stopped)
    assert {record.status for record in stopped.records.values()} == {"stopped"}
    provider.start(cloud.identity(), list(stopped.records.values()), started)
    for node, before in made.records.items():
        after = started.records[node]
        assert (after.id, after.status) == (before.id, "running")
        assert after.attributes["public_address"] != before.attributes["public_address"]
        assert after.connection.hostname == after.attributes["public_address"]


def test_a_node_that_is_still_stopping_is_started_when_it_has_stopped(cloud: Cloud) -> None:
    made = cloud.create("master")
    cloud.client().stop_instances(InstanceIds=[made.records["master"].id])
    started = Reports()
    cloud.provider().start(cloud.identity(), list(made.records.values()), started)
    assert started.errors == {}
    assert started.records["master"].status == "running"


def test_ending_the_last_node_leaves_nothing(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1")
    first, last = Reports(), Reports()
    cloud.provider().terminate(cloud.identity(), [made.records["slaves:1"]], first)
    assert len(cloud.client().describe_key_pairs()["KeyPairs"]) == 1
    cloud.provider().terminate(cloud.identity(), [made.records["master"]], last)
    assert last.records["master"].status == "terminated"
    assert cloud.instances() == []
    cloud.provider().clean_up(cloud.identity(), lambda: True)
    assert cloud.client().describe_key_pairs()["KeyPairs"] == []
    filters = [{"Name": "tag-key", "Values": ["dtk:service"]}]
    assert cloud.client().describe_security_groups(Filters=filters)["SecurityGroups"] == []
    assert not Path(made.records["master"].connection.key).exists()
    assert [v for v in cloud.client().describe_volumes()["Volumes"] if v["State"] != "deleted"] == []


def test_a_node_that_was_ended_by_hand_counts_as_ended(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1")
    cloud.client().terminate_instances(InstanceIds=[made.records["master"].id])
    now = cloud.provider().describe(cloud.identity(), list(made.records.values()))
    assert {record.node: record.status for record in now} == {"master": "terminated", "slaves:1": "running"}
    ended = Reports()
    cloud.provider().terminate(cloud.identity(), list(made.records.values()), ended)
    assert ended.errors == {}
    assert cloud.instances() == []


def test_an_image_is_found_by_name_and_by_public_parameter(cloud: Cloud) -> None:
    ssm = boto3.client("ssm", region_name=REGION, endpoint_url=cloud.url)
    ssm.put_parameter(Name="/images/plain", Value=cloud.image, Type="String")
    images = {"named": {"name": "ubuntu/images/*noble*", "owner": "self"}, "parameter": "ssm:/images/plain"}
    named = cloud.create("master", image="named", provider=cloud.provider(images=images))
    assert named.records["master"].connection.user == "ubuntu"
    by_parameter = cloud.create("edge", image="parameter", provider=cloud.provider(images=images))
    assert by_parameter.records["edge"].attributes["image_id"] == cloud.image


def test_a_word_that_is_no_image_and_no_size_says_which_there_are(cloud: Cloud) -> None:
    with pytest.raises(InvalidError, match="no image 'windows'") as wrong:
        cloud.create("master", image="windows")
    assert "amazon_linux_2023" in wrong.value.hint
    with pytest.raises(InvalidError, match="the size 'hugest'"):
        cloud.create("master", size="hugest")
    assert cloud.instances() == []


def test_a_region_without_a_default_network_says_what_to_name(cloud: Cloud) -> None:
    for vpc in cloud.client().describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]:
        found = cloud.client().describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
        for subnet in found:
            cloud.client().delete_subnet(SubnetId=subnet["SubnetId"])
        cloud.client().delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(DtkError, match="no default VPC"):
        cloud.create("master", provider=cloud.provider(subnet=[]))


def test_names_in_a_tag_are_read_back_as_they_were() -> None:
    nodes = ["master", "slaves:1", "slaves:2", "slaves:3", "slaves:7", "edge"]
    assert nodes_text(nodes) == "master slaves:1-3 slaves:7 edge"
    assert nodes_of(nodes_text(nodes)) == nodes

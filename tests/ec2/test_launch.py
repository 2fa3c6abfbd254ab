"""Tests of a target's launch settings: disk encryption keys, extra parameters, templates, and failing starts."""

from __future__ import annotations

import json

import pytest

from dtk.__main__ import run
from tests.ec2.cloud import Cloud, Reports, write_target
from tests.support.ec2 import Fault


def launched(cloud: Cloud) -> dict[str, str]:
    """Return the parameters of the only RunInstances call."""
    (call,) = cloud.api.called("RunInstances")
    return call


def test_parameters_of_the_target_go_under_dtks_own(cloud: Cloud) -> None:
    launch = {
        "CreditSpecification": {"CpuCredits": "standard"},
        "MetadataOptions": {"HttpPutResponseHopLimit": 2, "HttpTokens": "optional"},
        "NetworkInterfaces": [{"DeviceIndex": 0, "Ipv6AddressCount": 1, "SubnetId": "subnet-other"}],
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"Iops": 4000}},
            {"DeviceName": "/dev/sdz", "Ebs": {"VolumeSize": 1}},
        ],
    }
    made = cloud.create("master", provider=cloud.provider(launch=launch))
    assert made.errors == {}
    call = launched(cloud)
    assert call["CreditSpecification.CpuCredits"] == "standard"
    assert call["MetadataOptions.HttpPutResponseHopLimit"] == "2"
    assert call["MetadataOptions.HttpTokens"] == "required", "dtk's own goes over it"
    assert call["NetworkInterface.1.Ipv6AddressCount"] == "1"
    assert call["NetworkInterface.1.SubnetId"] == cloud.subnets[0]
    assert call["BlockDeviceMapping.1.Ebs.Iops"] == "4000"
    assert call["BlockDeviceMapping.1.Ebs.VolumeSize"] == "20"
    assert call["BlockDeviceMapping.2.DeviceName"] == "/dev/sdz"


@pytest.mark.parametrize("parameter", ["ClientToken", "MaxCount", "TagSpecifications"])
def test_parameters_that_dtk_sets_are_refused_with_their_place(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str], parameter: str
) -> None:
    write_target(cloud, launch={parameter: "x"})
    assert run(["plan", "spark1"]) == 3
    assert "expected a parameter of RunInstances that dtk does not set itself" in capsys.readouterr().err


def test_a_parameter_that_ec2_does_not_have_is_told_with_where_to_correct_it(cloud: Cloud) -> None:
    made = cloud.create("master", provider=cloud.provider(launch={"Tenancy": "dedicated"}))
    assert "the parameters of an AWS call are not valid" in made.errors["master"].message
    assert "Tenancy" in made.errors["master"].message
    assert "correct launch:" in made.errors["master"].hint


def test_a_launch_template_is_taken_by_name_and_version(cloud: Cloud) -> None:
    cloud.client().create_launch_template(LaunchTemplateName="base", LaunchTemplateData={"EbsOptimized": True})
    made = cloud.create("master", provider=cloud.provider(launch_template={"name": "base", "version": 1}))
    assert made.errors == {}
    call = launched(cloud)
    assert call["LaunchTemplate.LaunchTemplateName"] == "base"
    assert call["LaunchTemplate.Version"] == "1"


def zones(made: Reports) -> list[str]:
    """Return the last letter of each node's zone, in the order of node names."""
    return [str(made.records[node].attributes["availability_zone"])[-1] for node in sorted(made.records)]


def test_members_of_a_group_stand_in_zones_by_their_numbers(cloud: Cloud) -> None:
    vpc = cloud.client().describe_subnets(SubnetIds=cloud.subnets)["Subnets"][0]["VpcId"]
    nodes = [f"slaves:{number}" for number in range(1, 5)]
    made = cloud.create("master", *nodes, provider=cloud.provider(subnet=[], vpc=vpc))
    assert zones(made) == ["a", "a", "b", "a", "b"]
    assert len(cloud.api.called("RunInstances")) == 2, "a call for each zone"
    # A member created later goes to the zone of its number, or to another one if that zone has no capacity.
    assert zones(cloud.create("slaves:6", provider=cloud.provider(subnet=[], vpc=vpc))) == ["b"]
    cloud.api.capacity[cloud.subnets[1]] = 0
    assert zones(cloud.create("slaves:8", provider=cloud.provider(subnet=[], vpc=vpc))) == ["a"]


def test_subnets_that_are_named_are_tried_in_order_unless_members_are_to_be_spread(cloud: Cloud) -> None:
    assert zones(cloud.create("slaves:1", "slaves:2")) == ["a", "a"]
    assert zones(cloud.create("web:1", "web:2", provider=cloud.provider(spread="availability_zone"))) == ["a", "b"]


def test_disks_are_encrypted_with_the_key_that_is_named(cloud: Cloud) -> None:
    volumes = [{"size": 10}, {"size": 10, "kms_key": "alias/logs"}]
    cloud.create("master", provider=cloud.provider(kms_key="alias/data"), volumes=volumes)
    keys = [launched(cloud)[f"BlockDeviceMapping.{number}.Ebs.KmsKeyId"] for number in (1, 2, 3)]
    assert keys == ["alias/data", "alias/data", "alias/logs"]


def test_everything_that_a_launch_makes_has_the_tags(cloud: Cloud) -> None:
    cloud.create("master", spot=True)
    call = launched(cloud)
    tagged = {value for name, value in call.items() if name.endswith(".ResourceType")}
    assert tagged == {"instance", "volume", "network-interface", "spot-instances-request"}


def test_an_account_without_the_role_for_spot_gets_instances_on_demand(cloud: Cloud) -> None:
    code = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    cloud.api.faults.append(
        Fault("RunInstances", code, times=99, suits=lambda call: "InstanceMarketOptions.MarketType" in call)
    )
    made = cloud.create("master", spot=True)
    assert made.errors == {}
    assert made.records["master"].attributes["market"] == "on-demand"
    refused = next(known for _, known in made.recorded if known.get("spot_refused"))
    assert "create-service-linked-role --aws-service-name spot.amazonaws.com" in refused["spot_refused"]


def test_an_instance_that_is_off_again_ends_the_wait_with_its_reason(cloud: Cloud) -> None:
    made = cloud.create("master")
    stopped, started = Reports(), Reports()
    cloud.provider().stop(cloud.identity(), list(made.records.values()), stopped)
    message = "Client.InternalError: Client error on launch"
    cloud.api.falls[made.records["master"].id] = ("Client.InternalError", message)
    cloud.provider(boot_timeout=300).start(cloud.identity(), list(stopped.records.values()), started)
    error = started.errors["master"]
    assert f"stopped again after it was started: {message}" in error.message
    assert "kms:CreateGrant" in error.hint
    assert json.dumps(cloud.api.called("StartInstances")).count("InstanceId") == 1

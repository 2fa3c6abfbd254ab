"""Tests of checks before creation: a request that can't work leaves no key pair, group or instance behind."""

from __future__ import annotations

import re

import pytest

from dtk.errors import DtkError
from dtk.nodes.ec2.provider import Ec2Provider
from tests.ec2.cloud import REGION, Cloud
from tests.support.ec2 import Fault, main_table

MAKING = ("ImportKeyPair", "CreateSecurityGroup", "RunInstances")


def refusal(cloud: Cloud, provider: Ec2Provider | None = None, **attributes: object) -> DtkError:
    """Create a node that must be refused and return the error. Assert that nothing was created."""
    with pytest.raises(DtkError) as raised:
        cloud.create("master", provider=provider, **attributes)
    assert [action for action, _ in cloud.api.calls if action in MAKING] == []
    assert cloud.instances() == []
    return raised.value


def image(cloud: Cloud, architecture: str, gigabytes: int = 8) -> str:
    """Register an image with this architecture and disk size in gigabytes. Return its ID."""
    disks = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": gigabytes}}]
    made = cloud.client().register_image(
        Name=f"image-{architecture}-{gigabytes}",
        RootDeviceName="/dev/sda1",
        Architecture=architecture,
        BlockDeviceMappings=disks,
    )

    def shown(text: bytes) -> bytes:
        """Set architecture and size in the answer. Moto's images all have the same size and no architecture."""
        text = re.sub(rb"<volumeSize>\d+<", b"<volumeSize>%d<" % gigabytes, text)
        return text.replace(b"</imageId>", f"</imageId><architecture>{architecture}</architecture>".encode())

    cloud.api.shown["DescribeImages"] = shown
    return str(made["ImageId"])


def made_private(cloud: Cloud, *, but: str = "") -> None:
    """Remove the route to the internet from all subnets except ``but``."""
    client, vpc = cloud.client(), vpc_of(cloud)
    client.delete_route(RouteTableId=main_table(client, vpc), DestinationCidrBlock="0.0.0.0/0")
    if but:
        (way,) = client.describe_internet_gateways()["InternetGateways"]
        table = client.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
        client.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=way["InternetGatewayId"])
        client.associate_route_table(RouteTableId=table, SubnetId=but)
    cloud.api.calls.clear()


def vpc_of(cloud: Cloud) -> str:
    """Return the ID of the VPC of the cloud's subnets."""
    return str(cloud.client().describe_subnets(SubnetIds=cloud.subnets)["Subnets"][0]["VpcId"])


def test_an_image_for_another_processor_than_the_type_has(cloud: Cloud) -> None:
    arm = image(cloud, "arm64")
    error = refusal(cloud, image=arm, size="small")
    assert f"its image {arm} ('{arm}') is for arm64, and its instance type t3.small runs x86_64" in error.message
    assert "t4g.small" in error.hint
    assert cloud.create("master", image=arm, instance_type="t4g.small").errors == {}


def test_an_instance_type_that_the_region_does_not_have(cloud: Cloud) -> None:
    error = refusal(cloud, instance_type="t9.small")
    assert "region us-east-1 has no instance type t9.small, which node 'master' requests" in error.message


def test_a_type_is_asked_for_only_in_zones_that_offer_it(cloud: Cloud) -> None:
    cloud.api.shown["DescribeInstanceTypeOfferings"] = lambda text: text.replace(b"us-east-1a", b"us-east-1c")
    made = cloud.create("master")
    assert made.records["master"].attributes["availability_zone"] == "us-east-1b"
    error = refusal_in_other_zone(cloud)
    assert (
        "node 'slaves:1' can't be created: t3.small is not offered in us-east-1a, where its subnets are"
        in error.message
    )
    assert "us-east-1b" in error.hint


def refusal_in_other_zone(cloud: Cloud) -> DtkError:
    """Return the error of a node in the zone that does not offer its instance type."""
    with pytest.raises(DtkError) as raised:
        cloud.create("slaves:1", subnet=cloud.subnets[0])
    return raised.value


def test_a_disk_that_is_smaller_than_its_image(cloud: Cloud) -> None:
    large = image(cloud, "x86_64", 30)
    error = refusal(cloud, image=large, root_device_size=20)
    assert "root_device_size 20 of node 'master' is less than the 30 GB of its image" in error.message
    # If no size is set, the disk has the image's size.
    assert cloud.create("master", image=large).errors == {}
    assert cloud.api.called("RunInstances")[0]["BlockDeviceMapping.1.Ebs.VolumeSize"] == "30"


def test_public_addresses_only_where_a_route_leads_from_the_internet(cloud: Cloud) -> None:
    """The private subnet comes first by zone. A public address of an instance there would be unreachable."""
    made_private(cloud, but=cloud.subnets[1])
    made = cloud.create("master", provider=cloud.provider(addresses="public", subnet=[], vpc=vpc_of(cloud)))
    assert made.records["master"].attributes["subnet"] == cloud.subnets[1]


def test_public_addresses_without_any_such_route_are_refused(cloud: Cloud) -> None:
    made_private(cloud)
    error = refusal(cloud, provider=cloud.provider(addresses="public"))
    assert f"no route leads from the internet to {', '.join(cloud.subnets)}" in error.message
    assert "addresses: private" in error.hint


def test_a_subnet_of_ipv6_alone_is_passed_over_and_refused_where_it_is_named(cloud: Cloud) -> None:
    client = cloud.client()
    vpc = client.create_vpc(CidrBlock="10.81.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"]
    zone, usual = f"{REGION}a", f"{REGION}b"
    only = client.create_subnet(VpcId=vpc, Ipv6Native=True, Ipv6CidrBlock="2600:1f00::/64", AvailabilityZone=zone)
    both = client.create_subnet(VpcId=vpc, CidrBlock="10.81.1.0/24", AvailabilityZone=usual)
    cloud.api.calls.clear()
    error = refusal(cloud, provider=cloud.provider(subnet=only["Subnet"]["SubnetId"]))
    assert "names subnets without IPv4 addresses" in error.message
    made = cloud.create("master", provider=cloud.provider(subnet=[], vpc=vpc))
    assert made.records["master"].attributes["subnet"] == both["Subnet"]["SubnetId"]


def test_a_local_zone_is_used_only_where_it_is_named(cloud: Cloud) -> None:
    """By name, the local zone us-east-1-bos-1a comes before us-east-1b."""
    vpc = vpc_of(cloud)
    for action in ("DescribeSubnets", "DescribeInstances", "RunInstances", "DescribeInstanceTypeOfferings"):
        cloud.api.shown[action] = lambda text: text.replace(b"us-east-1a", b"us-east-1-bos-1a")
    made = cloud.create("slaves:1", provider=cloud.provider(subnet=[], vpc=vpc))
    assert made.records["slaves:1"].attributes["subnet"] == cloud.subnets[1]
    named = cloud.create("slaves:2", provider=cloud.provider(subnet=[], vpc=vpc), availability_zone="us-east-1-bos-1a")
    assert named.records["slaves:2"].attributes["subnet"] == cloud.subnets[0]


@pytest.mark.parametrize("action", ["DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "DescribeRouteTables"])
def test_a_policy_of_before_leaves_a_check_out(cloud: Cloud, action: str) -> None:
    cloud.api.faults.append(Fault(action, "UnauthorizedOperation", "You are not authorized", status=403, times=99))
    assert cloud.create("master", provider=cloud.provider(addresses="public")).errors == {}

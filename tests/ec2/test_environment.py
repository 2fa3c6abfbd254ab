"""What an account has that targets and nodes name: instance profiles, public parameters, the default network."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from dtk.model.machine_words import IMAGES
from ec2.conftest import REGION, Cloud


@pytest.fixture
def instance_profile(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """An instance profile: its name and its ARN."""
    iam = boto3.client("iam", region_name=REGION, endpoint_url=cloud.url)
    made = iam.create_instance_profile(InstanceProfileName="workers")["InstanceProfile"]
    yield made["InstanceProfileName"], made["Arn"]
    iam.delete_instance_profile(InstanceProfileName="workers")


def test_instances_get_the_profile_that_the_target_names_by_name_or_arn(
    cloud: Cloud, instance_profile: tuple[str, str]
) -> None:
    name, arn = instance_profile
    for node, given in (("master", name), ("edge", arn)):
        made = cloud.create(node, provider=cloud.provider(instance_profile=given))
        assert made.errors == {}
        described = cloud.client().describe_instances(InstanceIds=[made.records[node].id])
        assert described["Reservations"][0]["Instances"][0]["IamInstanceProfile"]["Arn"] == arn
    asked = [
        {key: value for key, value in call.items() if key.startswith("IamInstanceProfile")}
        for call in cloud.api.called("RunInstances")
    ]
    assert asked == [{"IamInstanceProfile.Name": name}, {"IamInstanceProfile.Arn": arn}]


@pytest.mark.parametrize(
    ("word", "parameter", "user"),
    [
        ("ubuntu_24_04", "canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id", "ubuntu"),
        ("ubuntu_24_04_arm64", "canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id", "ubuntu"),
        ("debian_12", "debian/release/12/latest/amd64", "admin"),
        ("debian_12_arm64", "debian/release/12/latest/arm64", "admin"),
        ("amazon_linux_2023", "ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64", "ec2-user"),
        ("amazon_linux_2023_arm64", "ami-amazon-linux-latest/al2023-ami-kernel-default-arm64", "ec2-user"),
    ],
)
def test_the_images_that_every_target_knows_are_public_parameters_with_their_users(
    cloud: Cloud, word: str, parameter: str, user: str
) -> None:
    cloud.api.parameters[f"/aws/service/{parameter}"] = cloud.image
    made = cloud.create("master", image=word)
    assert made.errors == {}
    assert made.records["master"].attributes["image_id"] == cloud.image
    assert made.records["master"].connection.user == user
    assert len(IMAGES) == 6


def test_a_public_parameter_that_moto_has_from_aws_is_one_of_them(cloud: Cloud) -> None:
    ssm = boto3.client("ssm", region_name=REGION, endpoint_url=cloud.url)
    for word in ("amazon_linux_2023", "amazon_linux_2023_arm64"):
        found = ssm.get_parameter(Name=IMAGES[word]["image"].removeprefix("ssm:"))
        assert found["Parameter"]["Value"].startswith("ami-")


def test_where_no_network_is_named_instances_stand_in_the_default_subnets_of_the_default_one(cloud: Cloud) -> None:
    client = cloud.client()
    vpc = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    # People's own subnets in it may have no way out.
    for number in range(5):
        client.create_subnet(VpcId=vpc, CidrBlock=f"172.31.{200 + number}.0/28", AvailabilityZone=f"{REGION}a")
    made = cloud.create("master", provider=cloud.provider(subnet=[], addresses="public"))
    assert made.errors == {}
    attributes = made.records["master"].attributes
    assert attributes["vpc"] == vpc
    subnet = client.describe_subnets(SubnetIds=[attributes["subnet"]])["Subnets"][0]
    assert subnet["DefaultForAz"]


def test_a_network_that_is_named_is_taken_with_all_its_subnets(cloud: Cloud) -> None:
    vpc = cloud.client().describe_subnets(SubnetIds=cloud.subnets)["Subnets"][0]["VpcId"]
    cloud.api.capacity[cloud.subnets[0]] = 0
    made = cloud.create("master", provider=cloud.provider(subnet=[], vpc=vpc))
    assert made.records["master"].attributes["subnet"] == cloud.subnets[1]

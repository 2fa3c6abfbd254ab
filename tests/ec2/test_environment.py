"""Tests of account resources that targets and nodes use: instance profiles, public parameters, the default network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from dtk.__main__ import run
from dtk.nodes.ec2.settings import SERVICES
from dtk.nodes.ec2.words import IMAGES
from tests.ec2.cloud import REGION, Cloud, Reports, write_target
from tests.support.ec2 import open_to_the_internet


@pytest.fixture
def instance_profile(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """Create an instance profile and yield its name and ARN."""
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
        entry = IMAGES[word]
        assert isinstance(entry, dict)
        found = ssm.get_parameter(Name=entry["image"].removeprefix("ssm:"))
        assert found["Parameter"]["Value"].startswith("ami-")


def test_where_no_network_is_named_instances_stand_in_the_default_subnets_of_the_default_one(cloud: Cloud) -> None:
    client = cloud.client()
    vpc = client.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    open_to_the_internet(client, vpc)
    # Subnets that users added to the default network may have no route to the internet.
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


NOWHERE = "http://127.0.0.1:9"


def point(monkeypatch: pytest.MonkeyPatch, url: str, *services: str) -> None:
    """Set the endpoints of services in the environment variables that the AWS tools use."""
    for service in services:
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", url)


def made_from_a_parameter(cloud: Cloud, endpoint_url: Any) -> str:
    """Create a node, which calls all three services. Return the account that was recorded for it."""
    cloud.api.parameters["/plain"] = cloud.image
    made = cloud.create("master", image="ssm:/plain", provider=cloud.provider(endpoint_url=endpoint_url))
    assert made.errors == {}
    return str(made.recorded[0][1]["account"])


def test_one_endpoint_is_that_of_all_services_whatever_the_aws_tools_say(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    point(monkeypatch, NOWHERE, "EC2", "SSM", "STS")
    assert made_from_a_parameter(cloud, cloud.url) == DEFAULT_ACCOUNT_ID


@pytest.mark.parametrize("named", [("ec2",), ("ssm", "sts"), ()])
def test_a_service_without_an_endpoint_has_that_of_the_aws_tools(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    for service in ("ec2", "ssm", "sts"):
        point(monkeypatch, NOWHERE if service in named else cloud.url, service.upper())
    assert made_from_a_parameter(cloud, dict.fromkeys(named, cloud.url)) == DEFAULT_ACCOUNT_ID


@pytest.mark.parametrize(
    ("url", "services"),
    [
        ("https://vpce-0a1b-xyz.ec2.us-east-1.vpce.amazonaws.com", {"ec2"}),
        ("https://ec2.cn-north-1.amazonaws.com.cn", {"ec2"}),
        ("https://ec2.us-east-1.api.aws", {"ec2"}),
        ("https://ec2.example.org", set(SERVICES)),
        ("http://localhost:4566", set(SERVICES)),
    ],
)
def test_an_endpoint_that_is_ec2s_own_is_asked_for_nothing_else(cloud: Cloud, url: str, services: set[str]) -> None:
    assert cloud.provider(endpoint_url=url).settings.endpoint_urls == dict.fromkeys(services, url)


def test_an_endpoint_of_a_service_that_no_target_asks_is_told(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    write_target(cloud, endpoint_url={"ec": cloud.url})
    assert run(["plan", "spark1"]) == 3
    assert "ec2" in capsys.readouterr().err


def test_credentials_are_looked_for_once_for_all_services(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, program, config = tmp_path / "asked", tmp_path / "login", tmp_path / "config"
    answer = {"Version": 1, "AccessKeyId": "test", "SecretAccessKey": "test"}
    program.write_text(f"#!/bin/sh\necho once >> {asked}\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    config.write_text(f"[profile company]\ncredential_process = {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    cloud.api.parameters["/plain"] = cloud.image
    made = cloud.create("master", image="ssm:/plain", provider=cloud.provider(profile="company"))
    assert made.errors == {}
    assert asked.read_text() == "once\n"

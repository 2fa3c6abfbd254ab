"""Tests of what a target's settings and a node's attributes resolve to: tags, ranges, volumes, images, own address."""

from __future__ import annotations

import pytest

from dtk.errors import DtkError, InvalidError
from dtk.nodes.ec2.address import own_network
from tests.ec2.cloud import Cloud


def test_a_nodes_own_tag_wins_over_the_targets(cloud: Cloud) -> None:
    made = cloud.create("master", tags={"team": "mine"}, provider=cloud.provider(tags={"team": "all", "cost": "7"}))
    tags = made.records["master"].attributes["tags"]
    assert isinstance(tags, dict)
    assert (tags["team"], tags["cost"], tags["dtk:service"]) == ("mine", "7", "spark1")


def test_this_machines_address_is_what_aws_sees(cloud: Cloud, asked: list[bytes]) -> None:
    settings = cloud.provider(addresses="public", ssh_from=[]).settings
    assert own_network(settings, "10.80.0.0") == "198.51.100.7/32"
    asked[0] = b"2001:db8::7"
    assert own_network(settings, "10.80.0.0") == "2001:db8::7/128"


def test_an_answer_that_is_no_address_is_not_trusted(cloud: Cloud, asked: list[bytes]) -> None:
    asked[0] = b"<html>please log in</html>"
    with pytest.raises(DtkError, match="cannot determine this machine's address") as wrong:
        own_network(cloud.provider(addresses="public").settings, "10.80.0.0")
    assert "ssh_from" in wrong.value.hint


def test_a_range_that_is_none_and_a_volume_without_a_size_are_told(cloud: Cloud) -> None:
    assert cloud.provider(open_to=["192.0.2.9/24"]).settings.open_to == ("192.0.2.0/24",)
    with pytest.raises(InvalidError, match="open_to of target 'cloud'"):
        cloud.provider(open_to=["192.0.2.0/99"])
    with pytest.raises(InvalidError, match="needs a size"):
        cloud.create("master", volumes=[{"type": "gp3"}])
    with pytest.raises(InvalidError, match="at most 11"):
        cloud.create("master", volumes=[{"size": 1}] * 12)
    assert cloud.instances() == []


def test_a_parameter_that_is_not_there_is_named(cloud: Cloud) -> None:
    with pytest.raises(InvalidError, match="no SSM parameter /nowhere"):
        cloud.create("master", image="ssm:/nowhere")


def test_a_nodes_own_size_wins_over_the_targets_instance_type_and_both_over_its_size(cloud: Cloud) -> None:
    provider = cloud.provider(defaults={"image": "plain", "instance_type": "c5.large", "size": "micro"})
    cloud.create("master", size="xlarge", provider=provider)
    cloud.create("slaves", provider=provider)
    assert sorted(instance.instance_type for instance in cloud.instances()) == ["c5.large", "t3.xlarge"]

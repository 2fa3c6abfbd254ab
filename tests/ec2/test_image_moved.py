"""Tests of an image word that means a newer image by now: plans say so, and machines keep theirs until replaced."""

from __future__ import annotations

import json

import pytest

from dtk.__main__ import run
from tests.ec2.cloud import Cloud, Reports, write_target
from tests.support.ec2 import Fault

PARAMETER = "/acme/image"
PLAIN = {"plain": {"image": f"ssm:{PARAMETER}", "user": "admin"}}


def printed(capsys: pytest.CaptureFixture[str], *command: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(list(command)) == code
    return capsys.readouterr().out


@pytest.fixture
def moved(cloud: Cloud, service: Reports) -> str:
    """Let the image word of the service's nodes mean a newer image, by a public parameter. Return the image's ID."""
    newer = cloud.client().register_image(Name="newer", RootDeviceName="/dev/sda1", Architecture="x86_64")["ImageId"]
    cloud.api.parameters[PARAMETER] = newer
    write_target(cloud, images=PLAIN, connect_timeout=1)
    cloud.api.calls.clear()
    return str(newer)


def test_an_image_that_has_moved_on_is_in_the_plan_as_kept(
    cloud: Cloud, moved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = printed(capsys, "plan", "spark1", "--refresh", "--detailed-exitcode")
    what = f"image plain has changed ({cloud.image} → {moved}): kept; to use the new one: dtk replace spark1"
    assert f"Kept as they are:\n    master  {what} master\n    slaves:[1-2]  {what} slaves\n" in output
    assert "Nothing to do" in output
    found = json.loads(printed(capsys, "plan", "spark1", "--refresh", "--json"))
    assert [(one["node"], one["kind"]) for one in found["unchecked"]] == [
        (node, "kept") for node in ("master", "slaves:1", "slaves:2")
    ]
    # Without the target, a plan can't know what the word means.
    assert "image plain has changed" not in printed(capsys, "plan", "spark1")


def test_what_dtk_yaml_itself_says_of_a_word_needs_no_answer_of_aws(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    write_target(cloud, images={"plain": "ami-0123456789"})
    cloud.api.calls.clear()
    output = printed(capsys, "plan", "spark1")
    assert f"    master  image plain has changed ({cloud.image} → ami-0123456789): kept" in output
    assert cloud.api.calls == []


def test_new_members_take_the_recorded_image(cloud: Cloud, moved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    output = printed(capsys, "apply", "spark1", "--yes", code=1)
    assert f"+ create slaves:3  small, plain ({cloud.image})" in output
    assert f"slaves:[1-2]  image plain has changed ({cloud.image} → {moved})" in output
    assert [call["ImageId"] for call in cloud.api.called("RunInstances")] == [cloud.image]


def test_a_replaced_machine_takes_the_new_image(cloud: Cloud, moved: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = printed(capsys, "replace", "spark1", "master", "--yes", code=1)
    assert f"-/+ replace master  small, plain ({moved})" in output
    assert "master  image plain has changed" not in output
    assert [call["ImageId"] for call in cloud.api.called("RunInstances")] == [moved]


def test_a_plan_names_the_image_that_it_makes_although_the_word_moves_on_before_it_is_applied(
    cloud: Cloud, moved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    assert run(["set-attribute", "spark1", "slaves/image", f"ssm:{PARAMETER}"]) == 0
    output = printed(capsys, "plan", "spark1", "--refresh", "--out", "plan.json")
    assert f"+ create slaves:3  small, ssm:{PARAMETER} ({moved})" in output
    cloud.api.parameters[PARAMETER] = cloud.image
    assert run(["apply", "plan.json"]) == 1, "nothing answers there by SSH"
    assert [call["ImageId"] for call in cloud.api.called("RunInstances")] == [moved]


def test_a_plan_sums_vcpus_and_memory_of_types_that_aws_describes(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "slaves/cardinality", "4"]) == 0
    made = "Machines to create: 2 instances (2 small), 4 vCPUs, 4 GiB of memory, 40 GB of disks"
    cloud.api.calls.clear()
    assert made in printed(capsys, "plan", "spark1")
    assert cloud.api.calls == [], "dtk knows its own sizes"
    assert run(["set-attribute", "spark1", "slaves/instance_type", "m5.large"]) == 0
    assert "(2 m5.large), 40 GB of disks" in printed(capsys, "plan", "spark1")
    output = printed(capsys, "plan", "spark1", "--refresh")
    assert "Machines to create: 2 instances (2 m5.large), 4 vCPUs, 16 GiB of memory, 40 GB of disks" in output
    assert len(cloud.api.called("DescribeInstanceTypes")) == 1


def test_a_plan_that_may_not_ask_for_types_lacks_the_sum(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    assert run(["set-attribute", "spark1", "slaves/instance_type", "m5.large"]) == 0
    denied = Fault("DescribeInstanceTypes", "UnauthorizedOperation", "You are not authorized", status=403, times=9)
    cloud.api.faults.append(denied)
    output = printed(capsys, "plan", "spark1", "--refresh")
    assert f"+ create slaves:3  m5.large, plain ({cloud.image})" in output
    assert "1 instance (1 m5.large), 20 GB of disks" in output


def test_an_image_that_is_gone_hides_none_of_the_others(
    cloud: Cloud, moved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "master/image", "ssm:/acme/removed"]) == 0
    output = printed(capsys, "plan", "spark1", "--refresh")
    assert f"slaves:[1-2]  image plain has changed ({cloud.image} → {moved})" in output

"""Tests of nodes whose wanted settings differ from their instance: every plan reports the difference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dtk.__main__ import run
from dtk.state.store import load_state
from tests.ec2.cloud import Cloud, Reports, save, write_target
from tests.support.ec2 import public_addresses


def planned(capsys: pytest.CaptureFixture[str], code: int = 10) -> str:
    """Run ``dtk plan`` and return its output. Fail the test if the exit code is not ``code``."""
    capsys.readouterr()
    assert run(["plan", "spark1", "--detailed-exitcode"]) == code
    return capsys.readouterr().out


def test_machines_as_they_were_made_are_nothing_to_tell(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Nothing to do: service 'spark1' is up to date." in planned(capsys, 0)
    # Name the same image differently, and list several types that include the current one.
    write_target(cloud, images={"other": {"image": cloud.image, "user": "admin"}}, defaults={"image": cloud.image})
    assert run(["set-attribute", "spark1", "slaves/instance_type", '["m5.large", "t3.small"]']) == 0
    assert "is up to date" in planned(capsys, 0)


@pytest.mark.parametrize(
    ("attribute", "value", "told"),
    [
        ("image", "ami-0123456789", "image plain → ami-0123456789"),
        ("root_device_size", "8", "root_device_size 20 → 8"),
        ("root_device_type", "standard", "root_device_type gp3 → standard"),
        ("volumes", "[{size: 10}]", "volumes 0 → 1"),
        ("subnet", "subnet-0123", "→ subnet-0123"),
        ("availability_zone", "us-east-1b", "availability_zone us-east-1a → us-east-1b"),
        ("user_data", "#!/bin/true", "user_data has changed"),
        ("spot", "true", "spot none → True"),
    ],
)
def test_what_a_group_asks_for_and_has_not_is_told_once_for_all_its_members(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str], attribute: str, value: str, told: str
) -> None:
    assert run(["set-attribute", "spark1", f"slaves/{attribute}", value]) == 0
    output = planned(capsys)
    assert "is up to date" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("  ! ")]
    assert line.startswith("  ! slaves:[1-2]  ")
    assert told in line
    assert line.endswith("applying keeps the machine as it is; to replace: dtk replace spark1 slaves")
    capsys.readouterr()
    assert run(["plan", "spark1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["drift"]
    assert [(one["node"], one["kind"]) for one in found] == [("slaves:1", "machine"), ("slaves:2", "machine")]


def test_larger_disks_and_another_type_are_steps_of_the_plan_and_disks_grow_first(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["set-attribute", "spark1", "master/root_device_size", "40"]) == 0
    output = planned(capsys)
    assert "  ~ grow master  (root_device_size 20 → 40)" in output
    assert "Summary: nodes 1 grow, 2 keep" in output
    assert run(["apply", "spark1", "--yes"]) == 0
    assert [volume.size for volume in cloud.volumes() if volume.size == 40] == [40]
    assert run(["set-attribute", "spark1", "master/root_device_size", "50"]) == 0
    assert run(["set-attribute", "spark1", "master/instance_type", "m5.large"]) == 0
    output = planned(capsys)
    assert "  ~ resize master  (root_device_size 40 → 50; t3.small → m5.large: stop, modify, start)" in output
    assert output.index("1 modify_volumes") < output.index("2 resize_node")


def test_another_profile_of_the_target_is_told_of_every_node(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    write_target(cloud, instance_profile="nodes")
    assert planned(capsys).count("instance_profile none → nodes") == 2


def launched(cloud: Cloud) -> list[dict[str, Any]]:
    return cloud.api.called("RunInstances")


def test_new_members_take_the_image_that_their_group_has(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    """The image name now means a newer image. New members still use the group's image, because nobody wants a mix."""
    newer = cloud.client().register_image(Name="newer", RootDeviceName="/dev/sda1", Architecture="x86_64")["ImageId"]
    write_target(cloud, images={"plain": {"image": newer, "user": "admin"}}, connect_timeout=1)
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    assert f"+ create slaves:3  small, plain ({cloud.image})" in planned(capsys)
    cloud.api.calls.clear()
    assert run(["apply", "spark1", "--yes"]) == 1, "nothing answers there by SSH"
    assert [call["ImageId"] for call in launched(cloud)] == [cloud.image]


def test_a_replaced_member_is_made_as_its_files_say_now_and_a_resume_ends_none_twice(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = cloud.client().register_image(Name="newer", RootDeviceName="/dev/sda1", Architecture="x86_64")["ImageId"]
    write_target(cloud, images={"plain": {"image": newer, "user": "admin"}}, connect_timeout=1)
    capsys.readouterr()
    assert run(["plan", "spark1", "--replace", "slaves:2"]) == 0
    output = capsys.readouterr().out
    assert "-/+ replace slaves:2  small, plain" in output
    assert "1 terminate_node" in output
    cloud.api.calls.clear()
    assert run(["replace", "spark1", "slaves:2", "--yes"]) == 1, "nothing answers there by SSH"
    assert run(["apply", "spark1", "--resume", "--yes", "--lock-wait", "60s"]) == 1
    assert len(cloud.api.called("TerminateInstances")) == 1
    assert [call["ImageId"] for call in launched(cloud)] == [newer]
    assert len(cloud.instances()) == 3


def test_a_changed_size_is_applied_in_place_one_member_at_a_time(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    write_target(cloud, connect_timeout=1)
    assert run(["set-attribute", "spark1", "slaves/size", "large"]) == 0
    output = planned(capsys)
    assert "  ~ resize slaves:[1-2]  (t3.small → t3.large: stop, modify, start)" in output
    assert [line for line in output.splitlines() if line.endswith("resize_node")] == [
        "  1 resize_node",
        "  2 resize_node",
    ]
    cloud.api.calls.clear()
    assert run(["apply", "spark1", "--yes"]) == 1, "nothing answers there by SSH"
    done = [
        (name, call.get("InstanceId", call.get("InstanceId.1"))) for name, call in cloud.api.calls if name in RESIZE
    ]
    first = service.records["slaves:1"].id
    assert done == [("StopInstances", first), ("ModifyInstanceAttribute", first), ("StartInstances", first)]
    types = {instance.id: instance.instance_type for instance in cloud.instances()}
    assert types[first] == "t3.large"
    assert types[service.records["slaves:2"].id] == "t3.small", "the first one that fails is the last one"


RESIZE = ("StopInstances", "ModifyInstanceAttribute", "StartInstances")


def test_a_node_whose_resize_is_refused_is_known_by_its_new_address(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = public_addresses("198.18.9")
    next(addresses, None)
    cloud.provider().terminate(cloud.identity(), list(service.records.values()), Reports())
    cloud.task = 2
    write_target(cloud, addresses="public")
    made = cloud.create("master", "slaves:1", "slaves:2", provider=cloud.provider(addresses="public"))
    save(cloud, made)
    before = made.records["master"].attributes["public_address"]
    cloud.api.capacity["m5.large"] = 0
    assert run(["set-attribute", "spark1", "master/instance_type", "m5.large"]) == 0
    assert run(["apply", "spark1", "--yes"]) == 1
    assert "InsufficientInstanceCapacity" in capsys.readouterr().out
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    known = state.nodes["master"]
    (there,) = [one for one in cloud.instances() if one.id == known.id]
    assert known.attributes["public_address"] == there.public_ip != before
    assert (known.status, known.connection["hostname"]) == ("running", there.public_ip)
    assert "~ resize master  (t3.small → m5.large: stop, modify, start)" in planned(capsys)

"""Instances that get another size, and larger disks, and stay the instances that they are."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.nodes.ec2 import reshape
from dtk.nodes.provider import MachineChange
from tests.ec2.cloud import Cloud, Reports
from tests.support.ec2 import Fault


def changed(cloud: Cloud, made: Reports, how: str, **attributes: Any) -> Reports:
    """Resize or grow all nodes that were made; return what was reported."""
    reports = Reports()
    changes = [MachineChange(record, attributes) for record in made.records.values()]
    getattr(cloud.provider(), how)(cloud.identity(), changes, reports)
    return reports


def calls(cloud: Cloud) -> list[str]:
    return [name for name, _ in cloud.api.calls if not name.startswith("Describe")]


def test_instances_are_resized_together_and_run_again(cloud: Cloud) -> None:
    made = cloud.create("slaves:1", "slaves:2")
    cloud.api.calls.clear()
    done = changed(cloud, made, "resize", size="large")
    assert done.errors == {}
    assert calls(cloud).count("StopInstances") == 1
    for node, record in done.records.items():
        assert (record.id, record.status) == (made.records[node].id, "running")
        assert (record.attributes["size"], record.attributes["instance_type"]) == ("large", "t3.large")


def test_a_type_that_has_no_room_is_passed_over_and_without_any_the_old_one_runs_again(cloud: Cloud) -> None:
    made = cloud.create("master")
    cloud.api.capacity["m5.large"] = 0
    done = changed(cloud, made, "resize", instance_type=["m5.large", "t3.large"])
    assert done.records["master"].attributes["instance_type"] == "t3.large"
    failed = changed(cloud, done, "resize", instance_type="m5.large")
    assert "InsufficientInstanceCapacity" in str(failed.errors["master"])
    (instance,) = cloud.instances()
    assert (instance.instance_type, instance.state) == ("t3.large", "running")


def test_what_a_task_that_died_has_resized_is_not_stopped_again(cloud: Cloud) -> None:
    made = cloud.create("master")
    changed(cloud, made, "resize", size="large")
    cloud.api.calls.clear()
    done = changed(cloud, made, "resize", size="large")
    assert done.records["master"].attributes["instance_type"] == "t3.large"
    assert calls(cloud) == []


def test_disks_grow_once_and_what_they_are_is_known_then(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reshape, "_PAUSE_SECONDS", 0.1)
    made = cloud.create("master", volumes=[{"size": 10}])
    cloud.api.calls.clear()
    wish: dict[str, Any] = {"root_device_size": 40, "volumes": [{"size": 50}]}
    done = changed(cloud, made, "grow", **wish)
    assert done.errors == {}
    assert sorted(volume.size for volume in cloud.volumes()) == [40, 50]
    made_with: Any = done.records["master"].attributes["made_with"]
    assert (made_with["root_device_size"], made_with["volumes"][0]["size"]) == (40, 50)
    cloud.api.calls.clear()
    assert changed(cloud, made, "grow", **wish).errors == {}
    assert calls(cloud) == []


def test_a_disk_that_was_changed_just_now_says_what_aws_says(cloud: Cloud) -> None:
    made = cloud.create("master")
    cloud.api.faults.append(Fault("ModifyVolume", "VolumeModificationRateExceeded", "You've reached the maximum rate"))
    failed = changed(cloud, made, "grow", root_device_size=40)
    assert "You've reached the maximum rate" in failed.errors["master"].message

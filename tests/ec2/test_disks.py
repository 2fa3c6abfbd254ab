"""Tests of changing the disks of existing instances: sizes, types and limits, in one call for each disk."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.__main__ import run
from dtk.nodes.ec2 import kept_volumes, reshape
from dtk.nodes.provider import MachineChange
from tests.ec2.cloud import Cloud, Reports, calls, changed, differences, write_target
from tests.support.ec2 import Fault


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reshape, "_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(kept_volumes, "_PAUSE_SECONDS", 0.1)


def test_disks_grow_once_and_what_they_are_is_known_then(cloud: Cloud) -> None:
    made = cloud.create("master", volumes=[{"size": 10}])
    cloud.api.calls.clear()
    wish: dict[str, Any] = {"root_device_size": 40, "volumes": [{"size": 50}]}
    done = changed(cloud, made, "modify_volumes", **wish)
    assert done.errors == {}
    assert sorted(volume.size for volume in cloud.volumes()) == [40, 50]
    made_with: Any = done.records["master"].attributes["made_with"]
    assert (made_with["root_device_size"], made_with["volumes"][0]["size"]) == (40, 50)
    cloud.api.calls.clear()
    assert changed(cloud, made, "modify_volumes", **wish).errors == {}
    assert calls(cloud) == []


def test_a_grown_disk_hides_no_other_difference_and_keep_says_that_a_replace_deletes_the_data(cloud: Cloud) -> None:
    made = cloud.create("master", volumes=[{"name": "data", "size": 10}])
    wish: dict[str, Any] = {"root_device_size": 40, "volumes": [{"name": "data", "size": 20, "keep": True}]}
    told = (
        "replace: volume data has keep: true now, but it is still deleted with its instance:"
        " copy its data before you replace the node"
    )
    assert differences(cloud, made, **wish) == [
        "grow: root_device_size 20 → 40",
        told,
        "grow: volume data size 10 → 20",
    ]
    done = changed(cloud, made, "modify_volumes", **wish)
    assert differences(cloud, done, **wish) == [told]
    made_with: Any = done.records["master"].attributes["made_with"]
    assert made_with["volumes"][0]["size"] == 20


def test_a_volume_that_is_new_in_the_request_does_not_stop_the_other_disks_from_growing(cloud: Cloud) -> None:
    made = cloud.create("master", volumes=[{"size": 10}])
    wish: dict[str, Any] = {"root_device_size": 40, "volumes": [{"size": 10}, {"size": 30}]}
    done = changed(cloud, made, "modify_volumes", **wish)
    assert done.errors == {}
    assert sorted(volume.size for volume in cloud.volumes()) == [10, 40]
    assert differences(cloud, done, **wish) == ["replace: volumes 1 → 2"]


def test_a_volume_that_was_detached_is_told_before_any_disk_is_changed(cloud: Cloud) -> None:
    made = cloud.create("master", volumes=[{"size": 10}])
    (extra,) = [volume for volume in cloud.volumes() if volume.size == 10]
    cloud.client().detach_volume(VolumeId=extra.id, InstanceId=made.records["master"].id, Device="/dev/sdf")
    failed = changed(cloud, made, "modify_volumes", root_device_size=40, volumes=[{"size": 20}])
    assert "has no disk /dev/sdf" in failed.errors["master"].message
    assert sorted(volume.size for volume in cloud.volumes()) == [10, 20]


def test_a_disk_that_was_changed_just_now_says_what_aws_says(cloud: Cloud) -> None:
    made = cloud.create("master")
    cloud.api.faults.append(Fault("ModifyVolume", "VolumeModificationRateExceeded", "You've reached the maximum rate"))
    failed = changed(cloud, made, "modify_volumes", root_device_size=40)
    assert "You've reached the maximum rate" in failed.errors["master"].message
    assert "wait, then apply again" in failed.errors["master"].hint


@pytest.mark.parametrize(
    ("before", "now", "told", "call"),
    [
        ({"type": "gp3"}, {"iops": 6000}, ["modify: volume 1 iops 3000 → 6000"], {"Iops": "6000"}),
        ({"iops": 6000}, {}, ["modify: volume 1 iops 6000 → 3000"], {"Iops": "3000"}),
        ({"iops": 3000, "throughput": 125}, {}, [], {}),
        (
            {"name": "data"},
            {"name": "data", "size": 50, "iops": 4000, "throughput": 250},
            ["modify: volume data size 10 → 50, iops 3000 → 4000, throughput 125 → 250 MiB/s"],
            {"Size": "50", "Iops": "4000", "Throughput": "250"},
        ),
        (
            {"type": "gp2"},
            {"type": "gp3"},
            ["modify: volume 1 type gp2 → gp3, iops 3000, throughput 125 MiB/s"],
            {"VolumeType": "gp3", "Iops": "3000", "Throughput": "125"},
        ),
        # With another type, AWS would set the IOPS to 3000 unless the call names them.
        (
            {"type": "io2", "iops": 4000},
            {"iops": 4000},
            ["modify: volume 1 type io2 → gp3, throughput 125 MiB/s"],
            {"VolumeType": "gp3", "Iops": "4000", "Throughput": "125"},
        ),
        (
            {"type": "st1", "size": 500},
            {"type": "sc1", "size": 400},
            ["modify: volume 1 type st1 → sc1", "replace: volume 1 size 500 → 400"],
            {"VolumeType": "sc1"},
        ),
        ({"type": "standard"}, {"type": "gp3"}, ["replace: volume 1 type standard → gp3"], {}),
        ({}, {"device": "/dev/sdp", "iops": 5000}, ["replace: volume 1 was replaced"], {}),
    ],
)
def test_type_and_limits_are_told_and_changed_with_the_size_in_one_call(
    cloud: Cloud, before: dict[str, Any], now: dict[str, Any], told: list[str], call: dict[str, str]
) -> None:
    made = cloud.create("master", volumes=[{"size": 10, **before}])
    wish: dict[str, Any] = {"volumes": [{"size": 10, **now}]}
    assert differences(cloud, made, **wish) == told
    cloud.api.calls.clear()
    done = changed(cloud, made, "modify_volumes", **wish)
    assert done.errors == {}
    sent = [
        {name: value for name, value in parameters.items() if name not in ("Action", "Version", "VolumeId")}
        for parameters in cloud.api.called("ModifyVolume")
    ]
    assert sent == ([call] if call else [])
    assert differences(cloud, done, **wish) == [one for one in told if one.startswith("replace")]
    # A task that died after the call is repeated without another one.
    cloud.api.calls.clear()
    assert changed(cloud, made, "modify_volumes", **wish).errors == {}
    assert calls(cloud) == []


def test_what_people_changed_and_no_plan_names_is_left_alone(cloud: Cloud) -> None:
    made = cloud.create("master")
    (volume,) = cloud.volumes()
    cloud.client().modify_volume(VolumeId=volume.id, Iops=9000)
    assert changed(cloud, made, "modify_volumes", root_device_size=40).errors == {}
    assert (volume.size, volume.iops) == (40, 9000)


def test_a_change_whose_answer_was_lost_is_not_refused_by_its_own_repetition(cloud: Cloud) -> None:
    made = cloud.create("master")
    cloud.api.modifying = 2
    cloud.api.faults.append(Fault("ModifyVolume", lost=True))
    assert changed(cloud, made, "modify_volumes", root_device_size=40).errors == {}
    assert len(cloud.api.called("ModifyVolume")) == 2
    (volume,) = cloud.volumes()
    assert len(volume.modifications) == 1


def test_a_change_that_another_task_has_begun_is_awaited_and_another_one_is_refused(cloud: Cloud) -> None:
    made = cloud.create("master")
    (volume,) = cloud.volumes()
    cloud.api.modifying = 2
    cloud.client().modify_volume(VolumeId=volume.id, Size=40)
    cloud.api.calls.clear()
    refused = changed(cloud, made, "modify_volumes", root_device_size=50)
    assert "aws ec2 describe-volumes-modifications shows it" in refused.errors["master"].hint
    cloud.api.calls.clear()
    done = changed(cloud, made, "modify_volumes", root_device_size=40)
    assert done.errors == {}
    assert calls(cloud) == []
    assert len(cloud.api.called("DescribeVolumesModifications")) > 1
    assert differences(cloud, done, root_device_size=40) == []


def test_a_kept_volume_of_another_type_is_attached_as_it_is_and_modified_then(cloud: Cloud) -> None:
    kept = {"name": "data", "size": 50, "keep": True}
    made = cloud.create("master", volumes=[{**kept, "type": "gp2"}])
    cloud.provider().terminate(cloud.identity(), list(made.records.values()), Reports())
    cloud.task = 2
    wish: dict[str, Any] = {"volumes": [{**kept, "iops": 4000}]}
    again = cloud.create("master", **wish)
    told = "modify: volume data type gp2 → gp3, iops 4000, throughput 125 MiB/s"
    assert differences(cloud, again, **wish) == [told]
    done = changed(cloud, again, "modify_volumes", **wish)
    assert differences(cloud, done, **wish) == []
    (volume,) = [volume for volume in cloud.volumes() if volume.size == 50]
    assert (volume.volume_type, volume.iops, volume.throughput) == ("gp3", 4000, 125)


def test_the_name_of_a_kept_volume_says_which_one_it_is(cloud: Cloud) -> None:
    made = cloud.create("master", volumes=[{"name": "data", "size": 10, "keep": True}])
    wish: dict[str, Any] = {"volumes": [{"name": "logs", "size": 20, "keep": True}]}
    assert differences(cloud, made, **wish) == ["replace: volume logs was replaced"]
    cloud.api.calls.clear()
    assert changed(cloud, made, "modify_volumes", **wish).errors == {}
    assert calls(cloud) == []


def launched(*ebs: tuple[str, dict[str, int]]) -> dict[str, Any]:
    return {"BlockDeviceMappings": [{"DeviceName": device, "Ebs": limits} for device, limits in ebs]}


def test_limits_in_the_parameters_of_the_launch_are_compared_as_well(cloud: Cloud) -> None:
    before = launched(("/dev/sda1", {"Iops": 4000}), ("/dev/sdf", {"Iops": 5000}))
    wish: dict[str, Any] = {"volumes": [{"size": 10}]}
    made = cloud.create("master", provider=cloud.provider(launch=before), **wish)
    assert differences(cloud, made, cloud.target(launch=before), **wish) == []
    now = cloud.target(launch=launched(("/dev/sda1", {"Iops": 4000, "Throughput": 300})))
    told = ["modify: root disk throughput 125 → 300 MiB/s", "modify: volume 1 iops 5000 → 3000"]
    assert differences(cloud, made, now, **wish) == told
    done = Reports()
    changes = [MachineChange(record, wish) for record in made.records.values()]
    cloud.provider(launch=now.settings["launch"]).modify_volumes(cloud.identity(), changes, done)
    assert done.errors == {}
    assert differences(cloud, done, now, **wish) == []


def test_a_plan_modifies_volumes_and_the_next_one_has_nothing_to_do(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    write_target(cloud, launch=launched(("/dev/sda1", {"Iops": 4000})))
    assert run(["set-attribute", "spark1", "master/root_device_type", "io2"]) == 0
    capsys.readouterr()
    assert run(["plan", "spark1", "--detailed-exitcode"]) == 10
    output = capsys.readouterr().out
    assert "  ~ modify master  (root_device_type gp3 → io2, root disk iops 3000 → 4000)\n" in output
    assert "  ~ modify slaves:[1-2]  (root disk iops 3000 → 4000)\n" in output
    assert "Summary: nodes 3 modify" in output
    cloud.api.faults.append(Fault("ModifyVolume", "VolumeModificationRateExceeded", "Wait at least 6 hours"))
    assert run(["apply", "spark1", "--yes"]) == 1
    assert "Wait at least 6 hours" in capsys.readouterr().out
    assert run(["apply", "spark1", "--resume", "--yes"]) == 0
    assert sorted(volume.volume_type for volume in cloud.volumes()) == ["gp3", "gp3", "io2"]
    assert len(cloud.api.called("ModifyVolume")) == 4
    assert run(["plan", "spark1", "--detailed-exitcode"]) == 0


REFUSED = """
dsl_version: 1.0.0
module: acme/bare
assemblies:
  cluster:
    nodes:
      master:
        attributes:
          volumes: [{size: 10, type: gp2, iops: 4000}, {name: logs, size: 500, type: io2, throughput: 250}]
      slaves: {attributes: {type: group, cardinality: 2, root_device_type: st1}}
"""


@pytest.mark.usefixtures("service")
def test_volumes_that_aws_refuses_are_found_by_validate_with_their_place(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    file = cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml"
    file.write_text(REFUSED)
    capsys.readouterr()
    assert run(["validate"]) == 3
    told = capsys.readouterr().err
    place = "modules/acme/bare/dtk.module.yaml:9:11: "
    assert f"{place}volume 1 of type gp2 can't have iops; expected no iops, or type gp3 or io1 or io2 (at" in told
    assert f"{place}volume 'logs' of type io2 can't have throughput; expected no throughput, or type gp3 (at" in told
    assert f"{place}volume 'logs' of type io2 needs iops; expected [{{size: 100, type: io2, iops: 4000}}] (at" in told
    assert "dtk.module.yaml:10:" in told
    assert "a root disk can't have type st1; expected gp3, gp2, io2 or io1 (at slaves/root_device_type)" in told
    file.write_text(REFUSED.replace("st1", "io2"))
    assert run(["validate"]) == 3
    assert "a root disk of type io2 needs iops; expected launch:" in capsys.readouterr().err
    write_target(cloud, defaults={"image": "plain", "volumes": [{"size": 10, "type": "sc1", "iops": 100}]})
    assert run(["validate"]) == 3
    told = capsys.readouterr().err
    assert "dtk.yaml:" in told
    assert "volume 1 of type sc1 can't have iops" in told

"""Tests of changing the size of existing instances, and of volumes that outlive them."""

from __future__ import annotations

import shutil
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest

from dtk.__main__ import run
from dtk.errors import DtkError, InvalidError
from dtk.nodes.ec2 import kept_volumes, reshape
from dtk.nodes.provider import NodeRecord, NodeRequest, RestartedError, ServiceIdentity
from tests.ec2.cloud import Cloud, Reports, calls, changed, differences, save
from tests.support.ec2 import Fault


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
    error = failed.errors["master"]
    assert isinstance(error, RestartedError)
    assert (error.record.status, error.record.attributes["instance_type"]) == ("running", "t3.large")
    (instance,) = cloud.instances()
    assert (instance.instance_type, instance.state) == ("t3.large", "running")


def test_what_a_task_that_died_has_resized_is_not_stopped_again(cloud: Cloud) -> None:
    made = cloud.create("master")
    changed(cloud, made, "resize", size="large")
    cloud.api.calls.clear()
    done = changed(cloud, made, "resize", size="large")
    assert done.records["master"].attributes["instance_type"] == "t3.large"
    assert calls(cloud) == []


KEPT: dict[str, Any] = {"volumes": [{"name": "data", "size": 50, "keep": True}, {"size": 10}]}


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_volumes, "_PAUSE_SECONDS", 0.1)


def ended(cloud: Cloud, made: Reports) -> None:
    cloud.provider().terminate(cloud.identity(), list(made.records.values()), Reports())


def data_volumes(cloud: Cloud) -> list[Any]:
    return [volume for volume in cloud.volumes() if volume.size == 50]


@pytest.mark.usefixtures("_short_waits")
def test_a_kept_volume_outlives_its_instance_and_is_attached_to_the_next_one_in_its_zone(cloud: Cloud) -> None:
    made = cloud.create("slaves:2", provider=cloud.provider(spread="availability_zone"), **KEPT)
    assert made.errors == {}
    (volume,) = data_volumes(cloud)
    zone = volume.zone.name
    assert zone == "us-east-1b"
    known: Any = made.records["slaves:2"].attributes["kept_volumes"]
    assert known == [{"name": "data", "id": volume.id, "size": 50}]
    assert volume.attachment.instance.id == made.records["slaves:2"].id
    assert volume.attachment.device == "/dev/sdf"
    ended(cloud, made)
    assert [one.id for one in cloud.volumes()] == [volume.id], "what the launch made went with it"
    cloud.task = 2
    # With or without spreading, a node is created in the zone of its kept volume.
    again = cloud.create("slaves:2", **KEPT)
    assert again.errors == {}
    assert [one.id for one in data_volumes(cloud)] == [volume.id]
    assert data_volumes(cloud)[0].attachment.instance.id == again.records["slaves:2"].id != made.records["slaves:2"].id
    assert again.records["slaves:2"].attributes["availability_zone"] == zone


@pytest.mark.usefixtures("_short_waits")
def test_a_kept_volume_that_is_smaller_than_requested_is_known_to_be_and_grows(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reshape, "_PAUSE_SECONDS", 0.1)
    ended(cloud, cloud.create("master", **KEPT))
    cloud.task = 2
    (data, other) = KEPT["volumes"]
    wish: dict[str, Any] = {"volumes": [{**data, "size": 90}, other]}
    made = cloud.create("master", **wish)
    assert differences(cloud, made, **wish) == ["grow: volume data size 50 → 90"]
    done = changed(cloud, made, "modify_volumes", **wish)
    (volume,) = [volume for volume in cloud.volumes() if volume.size == 90]
    assert differences(cloud, done, **wish) == []
    assert done.records["master"].attributes["kept_volumes"] == [{"name": "data", "id": volume.id, "size": 90}]
    # A kept volume can't be made smaller, not even by a replacement.
    ended(cloud, made)
    cloud.task = 3
    made = cloud.create("master", **KEPT)
    told = "replace: volume data size 90 → 50, but a kept volume can't be made smaller"
    assert differences(cloud, made, **KEPT) == [told]


@pytest.mark.usefixtures("_short_waits")
def test_a_node_that_is_to_be_elsewhere_than_its_volume_is_refused_before_anything_is_made(cloud: Cloud) -> None:
    ended(cloud, cloud.create("master", **KEPT))
    cloud.task = 2
    with pytest.raises(InvalidError, match="node 'master' can't be in us-east-1b: its kept volumes"):
        cloud.create("master", **KEPT, availability_zone="us-east-1b")
    assert cloud.instances() == []


@pytest.mark.usefixtures("_short_waits")
def test_an_answer_that_is_lost_makes_no_second_volume_and_only_the_service_deletes_its_own(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("CreateVolume", lost=True))
    made = cloud.create("master", **KEPT)
    assert made.errors == {}
    assert len(data_volumes(cloud)) == 1
    ended(cloud, made)
    (planned,) = cloud.provider().find_volumes(cloud.identity())
    assert planned == f"master data ({data_volumes(cloud)[0].id}, 50 GB)"
    for other, volumes in (("another", [planned]), ("spark1", [])):
        assert list(cloud.provider().delete_volumes(cloud.identity(other), volumes)) == []
    assert list(cloud.provider().delete_volumes(cloud.identity(), [planned])) == [planned]
    assert cloud.volumes() == []


def lone_volume(cloud: Cloud, node: str, **others: str) -> str:
    """Create a kept volume of a node that is attached to nothing. Return its id."""
    tags = {"dtk:lineage": cloud.identity().lineage, "dtk:nodes": node, "dtk:volume": "data", **others}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = cloud.client().create_volume(
        AvailabilityZone="us-east-1a", Size=50, TagSpecifications=[{"ResourceType": "volume", "Tags": listed}]
    )
    return str(made["VolumeId"])


@pytest.mark.usefixtures("_short_waits")
def test_of_two_volumes_for_one_place_the_attached_one_is_meant_and_two_free_ones_are_refused(cloud: Cloud) -> None:
    made = cloud.create("master", **KEPT)
    (attached,) = data_volumes(cloud)
    # The mock lists volumes in the order of their creation: the empty one comes last.
    empty = lone_volume(cloud, "master")
    again = cloud.create("master", **KEPT)
    known: Any = again.records["master"].attributes["kept_volumes"]
    assert [one["id"] for one in known] == [attached.id]
    ended(cloud, made)
    cloud.task = 2
    with pytest.raises(DtkError, match="node 'master' has two volumes 'data'") as refused:
        cloud.create("master", **KEPT)
    assert all(one in refused.value.message for one in (attached.id, empty))
    assert cloud.instances() == []
    # Another node is not affected.
    assert cloud.create("slaves:1", **KEPT).errors == {}


@pytest.mark.usefixtures("_short_waits")
def test_volumes_that_take_long_to_be_attached_do_not_use_up_the_time_of_other_instances(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.create("master", **KEPT)
    attach, seconds = kept_volumes.attach_kept, 3

    def slowly(*arguments: Any) -> list[dict[str, object]]:
        time.sleep(seconds)
        return attach(*arguments)

    monkeypatch.setattr("dtk.nodes.ec2.provider.attach_kept", slowly)
    # The first instance runs already. The other one boots while the first one's volume is attached.
    cloud.api.seconds = 1
    made = cloud.create("master", "slaves:1", provider=cloud.provider(boot_timeout=seconds), **KEPT)
    assert made.errors == {}


def adopted(cloud: Cloud, identity: ServiceIdentity) -> NodeRecord:
    """Adopt the only instance of a service; return its record."""
    provider = cloud.provider()
    (orphan,) = provider.find_service(identity, lambda *_: {})
    return provider.adopt(identity, orphan)


@pytest.mark.usefixtures("_short_waits")
def test_an_adopted_instance_brings_the_kept_volumes_of_its_service(cloud: Cloud) -> None:
    cloud.create("master", **KEPT)
    (volume,) = data_volumes(cloud)
    others = [lone_volume(cloud, "slaves:5"), lone_volume(cloud, "master", **{"dtk:lineage": "another"})]
    identity = replace(cloud.identity(), lineage=str(uuid.uuid4()))
    record = adopted(cloud, identity)
    assert record.status == "running"
    assert record.attributes["kept_volumes"] == [{"name": "data", "id": volume.id, "size": 50}]
    names = [f"master data ({volume.id}, 50 GB)", f"slaves:5 data ({others[0]}, 50 GB)"]
    assert list(cloud.provider().find_volumes(identity)) == names
    cloud.provider().terminate(identity, [record], Reports())
    made = Reports()
    cloud.provider().create(replace(identity, task=2), [NodeRequest("master", KEPT)], made)
    known: Any = made.records["master"].attributes["kept_volumes"]
    assert [one["id"] for one in known] == [volume.id]


@pytest.mark.usefixtures("_short_waits")
def test_an_adopted_instance_that_lacks_a_kept_volume_is_not_finished(cloud: Cloud) -> None:
    """A task may die before it attaches the volumes. A create step then finds the instance, and attaches them."""
    made = cloud.create("master", **KEPT)
    (volume,) = data_volumes(cloud)
    cloud.client().detach_volume(VolumeId=volume.id, InstanceId=made.records["master"].id, Device="/dev/sdf")
    assert adopted(cloud, cloud.identity()).status == "pending"
    assert cloud.create("master", **KEPT).records["master"].id == made.records["master"].id
    assert adopted(cloud, cloud.identity()).status == "running"


@pytest.mark.usefixtures("_short_waits")
def test_a_destroy_names_what_it_keeps_and_deletes_it_where_it_is_told_to(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    id_ = lone_volume(cloud, "master")
    master = service.records["master"]
    kept = {"kept_volumes": [{"name": "data", "id": id_, "size": 50}]}
    service.records["master"] = replace(master, attributes={**master.attributes, **kept})
    save(cloud, service)
    capsys.readouterr()
    for option, title, sign in ((), "Kept volumes:", " "), (("--delete-volumes",), "Deleted volumes:", "-"):
        assert run(["delete-and-destroy", "spark1", *option]) == 2, "there is no terminal to ask on"
        assert f"{title}\n  {sign} master data ({id_}, 50 GB)\n" in capsys.readouterr().out
    assert len(cloud.instances()) == 3
    assert run(["delete-and-destroy", "spark1", "--yes", "--delete-volumes"]) == 0
    assert cloud.volumes() == []


@pytest.mark.usefixtures("_short_waits", "service")
def test_a_destroy_names_and_deletes_the_volumes_of_nodes_that_it_does_not_know(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Volumes of members that were removed before, and a clone without a state whose first task is the destroy."""
    lone = lone_volume(cloud, "slaves:5")
    capsys.readouterr()
    assert run(["delete-and-destroy", "spark1", "--delete-volumes"]) == 2
    assert f"Deleted volumes:\n  - slaves:5 data ({lone}, 50 GB)\n" in capsys.readouterr().out
    assert run(["destroy-and-reset-nodes", "spark1", "--yes"]) == 0
    shutil.rmtree(cloud.workspace.local)
    capsys.readouterr()
    assert run(["delete-and-destroy", "spark1", "--delete-volumes"]) == 2
    asked = capsys.readouterr()
    assert f"Deleted volumes:\n  - slaves:5 data ({lone}, 50 GB)\n" in asked.out
    assert "which has no nodes, and 1 kept volume?" in asked.err + asked.out
    assert [volume.id for volume in cloud.volumes()] == [lone]
    assert run(["delete-and-destroy", "spark1", "--delete-volumes", "--yes"]) == 0
    assert cloud.volumes() == []

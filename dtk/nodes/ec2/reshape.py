"""Changes the types of existing instances, and their disks."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from dtk.errors import DtkError
from dtk.model.settings import text
from dtk.nodes.ec2.answers import Nothing, VolumeAnswer, VolumeModification
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.disks import ROOT, Modification
from dtk.nodes.ec2.instances import Ec2Instance
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError
from dtk.nodes.provider import NodeRecord, Report, RestartedError

MODIFYING_SECONDS = 600.0
"""How long a volume may take until its new size and type are usable; AWS optimizes it for hours after that."""
_PAUSE_SECONDS = 2.0
_UNDER_WAY = ("modifying", "optimizing")

_MOVED = "the instance was stopped, so its address may have changed: dtk apply --refresh updates it"


def start_as(aws: Aws, instance: Ec2Instance, types: Iterable[str]) -> None:
    """Give a stopped instance the first of several types with capacity, and start it.

    Raises:
        AwsError: no type is available; the instance is started with its former type, if possible.
    """
    before = str(instance.data.get("InstanceType", ""))
    refused: AwsError | None = None
    for type_ in types:
        try:
            aws.call("modify_instance_attribute", InstanceId=instance.id, InstanceType={"Value": type_})
            aws.call("start_instances", InstanceIds=[instance.id])
            return
        except AwsError as error:
            if error.in_doubt:
                raise
            refused = error
            if error.code not in NO_CAPACITY:
                break
    # A stopped instance is worse than a small one: restore the former type.
    aws.call("modify_instance_attribute", InstanceId=instance.id, InstanceType={"Value": before})
    aws.call("start_instances", InstanceIds=[instance.id])
    if refused is not None:
        raise refused


def with_refused(refused: Mapping[str, DtkError], report: Report) -> Report:
    """Return a report for instances that are started, some of which were refused another type.

    Those are reported with the error, and with their record if they run again: they may have another address now.
    """

    def told(node: str, outcome: NodeRecord | DtkError) -> None:
        error = refused.get(node)
        if error is None:
            report(node, outcome)
        elif isinstance(outcome, DtkError):
            error.hint = "; ".join(filter(None, [error.hint, _MOVED]))
            report(node, error)
        else:
            report(node, RestartedError(error, outcome))

    return told


def modify_volumes(aws: Aws, instance: Ec2Instance, changes: Mapping[str, Modification]) -> None:
    """Change an instance's disks, and wait until the changes are usable.

    A change that another task has made or begun is not requested again.

    Args:
        aws: the AWS services.
        instance: the instance.
        changes: parameters of ModifyVolume by device.

    Raises:
        DtkError: a disk does not exist (then none is changed), or can't be changed now.
    """
    disks = {
        one.get("DeviceName", ""): one.get("Ebs", {}).get("VolumeId", "")
        for one in instance.data.get("BlockDeviceMappings", [])
    }
    disks[ROOT] = disks.get(instance.data.get("RootDeviceName", ""), "")
    for device in changes:
        if not disks.get(device):
            named = device or instance.data.get("RootDeviceName", "")
            raise DtkError(f"instance {instance.id} has no disk {named}", hint="dtk replace creates it again")
    wanted = {disks[device]: change for device, change in changes.items()}
    for id_, change in _lacking(aws, wanted).items():
        _modify(aws, id_, change)
    _await_modified(aws, list(wanted))


def _modify(aws: Aws, id_: str, change: Modification) -> None:
    try:
        aws.request("modify_volume", Nothing, {"VolumeId": id_, **change})
    except AwsError:
        # If the first response was lost, the request was sent again, and AWS refuses it: the first one is under way.
        if _lacking(aws, {id_: change}):
            raise


def _lacking(aws: Aws, wanted: Mapping[str, Modification]) -> dict[str, Modification]:
    """Return what volumes, after the modifications under way, still lack of the wanted values, by volume."""
    filters = _named(wanted)
    present: dict[str, dict[str, object]] = {id_: {} for id_ in wanted}
    for volume in aws.pages("describe_volumes", "Volumes", VolumeAnswer, Filters=filters):
        present[volume["VolumeId"]] |= volume
    for one in _modifications(aws, wanted):
        if one.get("ModificationState") in _UNDER_WAY:
            # Until then, the volume may be described as it was.
            targets = {name: one.get(f"Target{name}") for name in wanted[one["VolumeId"]]}
            present[one["VolumeId"]] |= {name: value for name, value in targets.items() if value is not None}
    lacking = {id_: _missing(present[id_], change) for id_, change in wanted.items()}
    return {id_: change for id_, change in lacking.items() if change}


def _missing(present: Mapping[str, object], wanted: Modification) -> Modification:
    is_large_enough = int(text(present, "Size", "0")) >= int(text(wanted, "Size", "0"))
    wanted = {name: value for name, value in wanted.items() if name != "Size" or not is_large_enough}
    left = {name: value for name, value in wanted.items() if present.get(name) != value}
    # Another type brings its own limits unless the call names them.
    return wanted if "VolumeType" in left else left


def _named(volumes: Collection[str]) -> list[dict[str, object]]:
    return [{"Name": "volume-id", "Values": list(volumes)}]


def _modifications(aws: Aws, volumes: Collection[str]) -> list[VolumeModification]:
    """Return the latest modification of each volume that has any."""
    return aws.pages(
        "describe_volumes_modifications", "VolumesModifications", VolumeModification, Filters=_named(volumes)
    )


def _await_modified(aws: Aws, volumes: list[str]) -> None:
    deadline = time.monotonic() + MODIFYING_SECONDS
    while volumes:
        states = {one["VolumeId"]: one for one in _modifications(aws, volumes)}
        for id_, one in states.items():
            if one.get("ModificationState") == "failed":
                raise DtkError(f"volume {id_} can't be changed: {one.get('StatusMessage', 'AWS gives no reason')}")
        volumes = [id_ for id_ in volumes if id_ in states and states[id_].get("ModificationState") == "modifying"]
        if volumes and time.monotonic() > deadline:
            raise DtkError(f"volume {volumes[0]} is still being changed after {MODIFYING_SECONDS:g} s")
        if volumes:
            time.sleep(_PAUSE_SECONDS)

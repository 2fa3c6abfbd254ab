"""Changes the type and enlarges the disks of existing instances."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from dtk.errors import DtkError
from dtk.nodes.ec2.answers import VolumeAnswer, VolumeModification
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError

MODIFYING_SECONDS = 600.0
"""How long a volume may take until its new size is usable; AWS optimizes it for hours after that."""
_PAUSE_SECONDS = 2.0

MOVED = "the instance was stopped, so its address may have changed: dtk apply --refresh updates it"


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


def grow_volumes(aws: Aws, instance: Ec2Instance, root: int, sizes: Mapping[str, int]) -> None:
    """Enlarge an instance's disks, and wait until the new sizes are usable.

    Args:
        aws: the AWS services.
        instance: the instance.
        root: the size of its root disk, in GB.
        sizes: the sizes of its other disks, by device.

    Raises:
        DtkError: a disk does not exist (then none is changed), or can't be changed now.
    """
    disks = {
        one.get("DeviceName", ""): one.get("Ebs", {}).get("VolumeId", "")
        for one in instance.data.get("BlockDeviceMappings", [])
    }
    wanted = {instance.data.get("RootDeviceName", ""): root, **sizes}
    for device in wanted:
        if device not in disks:
            raise DtkError(f"instance {instance.id} has no disk {device}", hint="dtk replace creates it again")
    present = _sizes(aws, [disks[device] for device in wanted])
    grown = []
    for device, size in wanted.items():
        if present.get(disks[device], size) < size:
            aws.call("modify_volume", VolumeId=disks[device], Size=size)
            grown.append(disks[device])
    _await_sizes(aws, grown)


def _sizes(aws: Aws, volumes: list[str]) -> Mapping[str, int]:
    filters = [{"Name": "volume-id", "Values": volumes}]
    found = aws.pages("describe_volumes", "Volumes", VolumeAnswer, Filters=filters)
    return {one["VolumeId"]: int(one.get("Size", 0)) for one in found}


def _await_sizes(aws: Aws, volumes: list[str]) -> None:
    deadline = time.monotonic() + MODIFYING_SECONDS
    while volumes:
        filters = [{"Name": "volume-id", "Values": volumes}]
        found = aws.pages("describe_volumes_modifications", "VolumesModifications", VolumeModification, Filters=filters)
        states = {one["VolumeId"]: one for one in found}
        for id_, one in states.items():
            if one.get("ModificationState") == "failed":
                raise DtkError(f"volume {id_} can't be changed: {one.get('StatusMessage', 'AWS gives no reason')}")
        volumes = [id_ for id_ in volumes if id_ in states and states[id_].get("ModificationState") == "modifying"]
        if volumes and time.monotonic() > deadline:
            raise DtkError(f"volume {volumes[0]} is still being changed after {MODIFYING_SECONDS:g} s")
        if volumes:
            time.sleep(_PAUSE_SECONDS)

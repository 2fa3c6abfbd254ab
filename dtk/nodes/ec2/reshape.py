"""Gives instances other types and larger disks without making them anew."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from dtk.errors import DtkError
from dtk.nodes.ec2.answers import VolumeAnswer, VolumeModification
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError
from dtk.nodes.ec2.settings import MachineSpec, device_of
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES

MODIFYING_SECONDS = 600.0
"""How long a volume may take until its new size can be used; it is optimized for hours after that."""
_PAUSE_SECONDS = 2.0


def start_as(aws: Aws, instance: Ec2Instance, types: Iterable[str]) -> None:
    """Give an instance that is off the first of several types that there is room for, and start it.

    Raises:
        AwsError: none of them can be had; it runs again as it was, as far as that goes.
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
    # Off is worse than small: who is refused the new type has the old one back.
    aws.call("modify_instance_attribute", InstanceId=instance.id, InstanceType={"Value": before})
    aws.call("start_instances", InstanceIds=[instance.id])
    if refused is not None:
        raise refused


def grow_volumes(aws: Aws, instance: Ec2Instance, spec: MachineSpec) -> None:
    """Make an instance's disks as large as its node asks for, and wait until the new size can be used.

    Raises:
        DtkError: a disk is not there, or can't be changed now.
    """
    disks = {
        one.get("DeviceName", ""): one.get("Ebs", {}).get("VolumeId", "")
        for one in instance.data.get("BlockDeviceMappings", [])
    }
    wanted = {instance.data.get("RootDeviceName", ""): spec.root_device_size or ROOT_DEVICE_GIGABYTES}
    wanted |= {device_of(number, volume): volume.size for number, volume in enumerate(spec.volumes)}
    sizes = _sizes(aws, [disks[device] for device in wanted if device in disks])
    grown = []
    for device, size in wanted.items():
        if device not in disks:
            raise DtkError(f"instance {instance.id} has no disk {device}", hint="dtk replace creates it again")
        if sizes.get(disks[device], size) < size:
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

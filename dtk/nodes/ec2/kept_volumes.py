"""Volumes that outlive instances: finds them by tags and attaches them to the present instance of their node.

They are created by separate calls and not by RunInstances, because volumes of a launch are deleted with the instance.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from dtk.errors import DtkError, InvalidError
from dtk.model.names import node_order
from dtk.nodes.ec2.answers import VolumeAnswer
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance
from dtk.nodes.ec2.settings import MachineSpec, Volume, device_of
from dtk.nodes.ec2.tags import LINEAGE, NAME, NODES, as_list, service_label, service_tags
from dtk.nodes.ec2.volume_types import limits_of
from dtk.nodes.provider import ServiceIdentity

_VOLUME = "dtk:volume"
_WAIT_SECONDS = 300.0
"""How long it may take to create a volume, to detach it from a terminated instance, or to attach it."""
_PAUSE_SECONDS = 1.0
_GOING = ("deleting", "deleted", "error")


_Kept = Mapping[tuple[str, str], Sequence[VolumeAnswer]]
"""A service's kept volumes, by node and name. More than one for the same place is a mistake."""


def _by_owner(aws: Aws, lineage: str) -> _Kept:
    found: dict[tuple[str, str], list[VolumeAnswer]] = {}
    for one in _kept_volumes(aws, lineage):
        found.setdefault(_owner(one), []).append(one)
    return found


def _only(kept: _Kept, node: str, name: str) -> VolumeAnswer | None:
    """Return a node's volume; of several, the attached one. None if there is none.

    Raises:
        InvalidError: there are several, and it is unclear which one has the data.
    """
    found = kept.get((node, name), ())
    attached = [one for one in found if one.get("Attachments")]
    chosen = attached if len(attached) == 1 else found
    if len(chosen) > 1:
        ids = " and ".join(one["VolumeId"] for one in chosen)
        raise InvalidError(
            f"node '{node}' has {'two' if len(chosen) == 2 else len(chosen)} volumes '{name}': {ids}",
            hint=f"remove the tag {_VOLUME} from the one that is not meant, or delete it, then apply again",
        )
    return chosen[0] if chosen else None


def _kept_volumes(aws: Aws, *lineages: str) -> list[VolumeAnswer]:
    filters = [{"Name": f"tag:{LINEAGE}", "Values": list(lineages)}, {"Name": "tag-key", "Values": [_VOLUME]}]
    found = aws.pages("describe_volumes", "Volumes", VolumeAnswer, Filters=filters)
    return [one for one in found if one.get("State") not in _GOING]


def _owner(volume: VolumeAnswer) -> tuple[str, str]:
    """Return the node of a volume, and the volume's name."""
    tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])}
    return tags.get(NODES, ""), tags.get(_VOLUME, "")


def in_their_zones(aws: Aws, identity: ServiceIdentity, specs: Mapping[str, MachineSpec]) -> dict[str, MachineSpec]:
    """Return the nodes' specs, restricted to the zones of their kept volumes, which can't be attached elsewhere.

    Raises:
        InvalidError: a node requests another zone, has volumes in two zones, or two volumes for one place.
    """
    if not any(volume.keep for spec in specs.values() for volume in spec.volumes):
        return dict(specs)
    kept = _by_owner(aws, identity.lineage)
    return {node: _in_zone(node, spec, kept) for node, spec in specs.items()}


def _in_zone(node: str, spec: MachineSpec, kept: _Kept) -> MachineSpec:
    volumes = [known for one in spec.volumes if one.keep and (known := _only(kept, node, one.name))]
    zones = sorted({volume.get("AvailabilityZone", "") for volume in volumes})
    if not zones:
        return spec
    if len(zones) > 1 or spec.availability_zone not in ("", *zones):
        ids = ", ".join(volume["VolumeId"] for volume in volumes)
        wanted = spec.availability_zone or " and ".join(zones)
        raise InvalidError(
            f"node '{node}' can't be in {wanted}: its kept volumes ({ids}) are in {' and '.join(zones)}",
            hint=f"set availability_zone to {zones[0]}, or delete the volumes",
        )
    return replace(spec, availability_zone=zones[0])


def attach_kept(
    aws: Aws, identity: ServiceIdentity, instance: Ec2Instance, node: str, spec: MachineSpec
) -> list[dict[str, object]]:
    """Attach a node's kept volumes to its instance; create missing ones in the instance's zone.

    Returns:
        Name, id, size, type and limits of each.
    """
    wanted = [(device_of(place, one), one) for place, one in enumerate(spec.volumes) if one.keep]
    kept = _by_owner(aws, identity.lineage) if wanted else {}
    found: list[dict[str, object]] = []
    for device, volume in wanted:
        known = _only(kept, node, volume.name)
        id_ = known["VolumeId"] if known else _made(aws, identity, instance, node, volume, spec.kms_key)
        _attach(aws, id_, instance.id, device)
        found.append({"name": volume.name, "id": id_, **(_as_it_is(known, volume) if known else _as_requested(volume))})
    return found


def _as_requested(volume: Volume) -> dict[str, object]:
    return {"size": volume.size, "type": volume.type, "limits": dict(volume.limits)}


def _as_it_is(known: VolumeAnswer, volume: Volume) -> dict[str, object]:
    type_ = known.get("VolumeType", volume.type)
    has = {"iops": known.get("Iops", 0), "throughput": known.get("Throughput", 0)}
    limits = limits_of(type_, {name: value for name, value in has.items() if value})
    return {"size": known.get("Size", volume.size), "type": type_, "limits": limits}


def _made(aws: Aws, identity: ServiceIdentity, instance: Ec2Instance, node: str, volume: Volume, kms_key: str) -> str:
    zone = instance.data.get("Placement", {}).get("AvailabilityZone", "")
    label = f"{service_label(identity)}/{node}/{volume.name}"
    tags = {**people_tags(instance), **service_tags(identity), NAME: label, NODES: node, _VOLUME: volume.name}
    token = hashlib.sha256("\n".join([identity.lineage, str(identity.task), label, zone]).encode()).hexdigest()[:48]
    arguments: dict[str, object] = {
        "AvailabilityZone": zone,
        "Size": volume.size,
        "VolumeType": volume.type,
        "Encrypted": True,
        "ClientToken": f"dtk-{token}",
        "TagSpecifications": [{"ResourceType": "volume", "Tags": as_list(tags)}],
        **{name.capitalize(): value for name, value in volume.limits.items()},
    }
    if key := volume.kms_key or kms_key:
        arguments["KmsKeyId"] = key
    answer = aws.request("create_volume", VolumeAnswer, arguments)
    return answer["VolumeId"]


def people_tags(instance: Ec2Instance) -> dict[str, str]:
    """Return the tags that people gave an instance; its volumes get them, too."""
    return {name: value for name, value in instance.tags.items() if not name.startswith(("dtk:", "aws:"))}


def _attach(aws: Aws, volume: str, instance: str, device: str) -> None:
    """Attach a volume once its previous instance has released it; do nothing if the instance already has it."""

    def is_free(one: VolumeAnswer) -> bool:
        return one.get("State") == "available" or _is_at(one, instance)

    found = _wait(aws, volume, is_free, f"become free for instance {instance}")
    if not _is_at(found, instance):
        aws.call("attach_volume", VolumeId=volume, InstanceId=instance, Device=device)
        _wait(aws, volume, lambda one: _is_at(one, instance, "attached"), f"attach to instance {instance}")


def _is_at(volume: VolumeAnswer, instance: str, state: str = "") -> bool:
    return any(
        one.get("InstanceId") == instance and state in ("", one.get("State")) for one in volume.get("Attachments", [])
    )


def _wait(aws: Aws, volume: str, ready: Callable[[VolumeAnswer], bool], what: str) -> VolumeAnswer:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        filters = [{"Name": "volume-id", "Values": [volume]}]
        found = aws.pages("describe_volumes", "Volumes", VolumeAnswer, Filters=filters)
        if found and ready(found[0]):
            return found[0]
        if time.monotonic() > deadline:
            state = found[0].get("State", "unknown") if found else "not visible"
            raise DtkError(f"volume {volume} did not {what} within {_WAIT_SECONDS:g} s: it is {state}")
        time.sleep(_PAUSE_SECONDS)


def adopt_kept(
    aws: Aws, instance: Ec2Instance, own: Mapping[str, str]
) -> tuple[list[dict[str, object]], list[VolumeAnswer]]:
    """Tag the kept volumes of an adopted instance's service as its new service's: its own and those without instance.

    Args:
        aws: the AWS services.
        instance: the instance, with the tags that it had.
        own: the tags that tie resources to the new service.

    Returns:
        The value of the node's attribute ``kept_volumes``, and the volumes of the node that are attached to nothing.
    """
    lineages = dict.fromkeys(lineage for lineage in (instance.tags.get(LINEAGE), own[LINEAGE]) if lineage)
    found = [
        one for one in _kept_volumes(aws, *lineages) if _is_at(one, instance.id) or one.get("State") == "available"
    ]
    if found and own[LINEAGE] != instance.tags.get(LINEAGE):
        aws.call("create_tags", Resources=[one["VolumeId"] for one in found], Tags=as_list(own))
    attached = [
        {"name": _owner(one)[1], "id": one["VolumeId"], "size": one.get("Size", 0)}
        for one in found
        if _is_at(one, instance.id)
    ]
    names = {one["name"] for one in attached}
    free = [one for one in found if one.get("State") == "available" and _owner(one)[0] == instance.node]
    return attached, [one for one in free if _owner(one)[1] not in names]


def kept_texts(aws: Aws, identity: ServiceIdentity) -> dict[str, str]:
    """Return a service's kept volumes as plans name them: id → ``slaves:1 data (vol-0a1b, 500 GB)``."""
    found = {}
    for volume in _kept_volumes(aws, identity.lineage):
        node, name = _owner(volume)
        found[volume["VolumeId"]] = f"{node} {name} ({volume['VolumeId']}, {volume.get('Size')} GB)"
    return dict(sorted(found.items(), key=lambda pair: (node_order(pair[1].split()[0]), pair[1])))


def delete_kept(aws: Aws, identity: ServiceIdentity, planned: Collection[str]) -> list[str]:
    """Delete those of a service's kept volumes that a plan names, once its instances have released them.

    Returns:
        The deleted ones, as plans name them.
    """
    deleted = []
    for id_, described in kept_texts(aws, identity).items():
        # By id: a volume may have grown since the plan was made.
        if any(f" ({id_}, " in one for one in planned):
            _wait(aws, id_, lambda one: one.get("State") == "available", "become free for deletion")
            aws.call("delete_volume", VolumeId=id_)
            deleted.append(described)
    return deleted

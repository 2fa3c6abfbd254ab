"""Compares an instance's creation parameters with its node's present request: pure data, for use in plans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from dtk.model.settings import as_mapping, text, texts
from dtk.model.target import ADOPTED, Attributes, MachineDifference, Target
from dtk.nodes.ec2.settings import ELASTIC_IP, Ec2Settings, MachineSpec, Volume, device_of, read_settings, read_spec
from dtk.nodes.ec2.words import IMAGE_ID as AMI
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES

MADE_WITH = "made_with"
"""The node attribute with the creation parameters of its instance, as ``made_with`` returns them."""
KEPT_VOLUMES = "kept_volumes"
"""The node attribute that lists the volumes which remain when its instance is terminated."""
IMAGE_ID = "image_id"
_DIGEST_LENGTH = 12
_NOT_KEPT = "has keep: true now, but it is still deleted with its instance: copy its data before you replace the node"


def made_with(settings: Ec2Settings, spec: MachineSpec) -> dict[str, object]:
    """Return an instance's creation parameters that are not in its record otherwise."""
    return {
        "image": spec.image,
        "root_device_size": spec.root_device_size,
        "root_device_type": spec.root_device_type,
        "volumes": [_volume(volume) for volume in spec.volumes],
        "spot": spec.spot,
        "user_data": hashlib.sha256(spec.user_data.encode()).hexdigest()[:_DIGEST_LENGTH] if spec.user_data else "",
        "instance_profile": settings.instance_profile,
    }


def grown(known: Attributes, spec: MachineSpec) -> dict[str, object]:
    """Return a node's attributes after its disks were enlarged to the requested sizes.

    Nothing but sizes changes: other differences remain, and are found again by the next plan.
    """
    made = as_mapping(known.get(MADE_WITH) or {})
    volumes = _items(made.get("volumes"))
    for place, volume in _same_disks(volumes, spec):
        volumes[place] = {**volumes[place], "size": max(volume.size, int(text(volumes[place], "size", "0")))}
    root = max(_root_size(made), spec.root_device_size or ROOT_DEVICE_GIGABYTES)
    now = {**known, MADE_WITH: {**made, "root_device_size": root, "volumes": volumes}}
    kept = {text(one, "name"): one["size"] for one in volumes if one.get("keep")}
    if found := _items(known.get(KEPT_VOLUMES)):
        now[KEPT_VOLUMES] = [{**one, "size": kept.get(text(one, "name"), one.get("size"))} for one in found]
    return now


def with_kept(made: Attributes, kept: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return what an instance was created with, and its kept volumes with their real sizes.

    A volume that existed before is attached as it is; the next plan shows whether it is to grow.

    Args:
        made: the creation parameters, as ``made_with`` returns them.
        kept: name, id and size of each attached volume.
    """
    if not kept:
        return {MADE_WITH: made}
    sizes = {text(one, "name"): one["size"] for one in kept}
    volumes = [
        {**one, "size": sizes.get(text(one, "name"), one["size"])} if one.get("keep") else one
        for one in _items(made.get("volumes"))
    ]
    return {MADE_WITH: {**made, "volumes": volumes}, KEPT_VOLUMES: list(kept)}


def requested_sizes(known: Attributes, spec: MachineSpec) -> dict[str, int]:
    """Return the requested sizes in GB of the volumes that a node's instance was created with, by device."""
    made = as_mapping(known.get(MADE_WITH) or {})
    disks = _same_disks(_items(made.get("volumes")), spec)
    return {device_of(place, volume): volume.size for place, volume in disks}


def _same_disks(made: Sequence[Mapping[str, object]], spec: MachineSpec) -> Iterator[tuple[int, Volume]]:
    """Yield the requested volumes that the instance has, under the same device, with their places in the request."""
    for place, (old, new) in enumerate(zip(made, spec.volumes, strict=False)):
        if text(old, "device") == new.device:
            yield place, new


def _root_size(made: Mapping[str, object]) -> int:
    return int(text(made, "root_device_size", "0")) or ROOT_DEVICE_GIGABYTES


def _volume(volume: Volume) -> dict[str, object]:
    kept = {"name": volume.name, "keep": True} if volume.keep else {}
    return {"size": volume.size, "type": volume.type, "device": volume.device, "limits": dict(volume.limits), **kept}


def machine_differences(target: Target, attributes: Attributes, known: Attributes) -> Iterator[MachineDifference]:
    """Yield the differences between a node's instance and the node's present request.

    Args:
        target: the node's target.
        attributes: the node's attributes, in the target's form.
        known: the node's attributes in the state; values that an older dtk did not store are not compared.
    """
    settings = read_settings(target, Path())
    wished = read_spec(settings, "", attributes)
    before, now = as_mapping(known.get(MADE_WITH) or {}), made_with(settings, wished)
    yield from _type(wished, known)
    if known.get(ADOPTED):
        # Nobody asked dtk to create it in that place, from that image, or with those disks.
        return
    yield from _place(wished, known)
    image = text(before, "image") or text(known, "image")
    # An image word stands for a new AMI every month: a node keeps its image until it is replaced.
    if image and wished.image not in (image, text(known, IMAGE_ID)):
        yield MachineDifference("replace", f"image {image} → {wished.image}")
    elif image == wished.image:
        yield from _moved(settings, wished, text(known, IMAGE_ID))
    if not before:
        return
    yield from _elastic_ip(wished.elastic_ip, text(known, ELASTIC_IP))
    yield from _root_disk(before, now)
    yield from _volumes(_items(before.get("volumes")), _items(now["volumes"]))
    for name, shown in (("spot", True), ("user_data", False), ("instance_profile", True)):
        if before.get(name) != now[name]:
            values = f" {before.get(name) or 'none'} → {now[name] or 'none'}" if shown else " has changed"
            yield MachineDifference("replace", f"{name}{values}")


def _elastic_ip(wished: str, has: str) -> Iterator[MachineDifference]:
    """Yield whether a node needs another elastic IP; ``true`` stands for whichever it has. An older dtk gave none."""
    is_same = bool(has) == bool(wished) if wished in ("", "true") else has == wished
    if not is_same:
        yield MachineDifference("replace", f"elastic_ip {has or 'none'} → {wished or 'none'}")


def _moved(settings: Ec2Settings, wished: MachineSpec, has: str) -> Iterator[MachineDifference]:
    """Yield whether a node's image word means a newer image now: as its target reported, or as dtk.yaml says."""
    entry = settings.images.get(wished.image)
    written = text(as_mapping(entry), "image") if isinstance(entry, Mapping) else str(entry or "")
    means = wished.image_id or (written if written.startswith(AMI) else "")
    if has and means not in ("", has):
        yield MachineDifference("keep", f"image {wished.image} has changed ({has} → {means})")


def _type(wished: MachineSpec, known: Attributes) -> Iterator[MachineDifference]:
    has = text(known, "instance_type")
    if has and has not in wished.instance_types:
        # A one-time spot instance can't be stopped.
        how: Literal["replace", "resize"] = "replace" if text(known, "market") == "spot" else "resize"
        yield MachineDifference(how, f"{has} → {' or '.join(wished.instance_types)}")


def _place(wished: MachineSpec, known: Attributes) -> Iterator[MachineDifference]:
    subnet, zone = text(known, "subnet"), text(known, "availability_zone")
    if subnet and wished.subnets and subnet not in wished.subnets:
        yield MachineDifference("replace", f"subnet {subnet} → {' or '.join(wished.subnets)}")
    if zone and wished.availability_zone not in ("", zone):
        yield MachineDifference("replace", f"availability_zone {zone} → {wished.availability_zone}")


def _root_disk(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[MachineDifference]:
    sizes = [_root_size(one) for one in (before, now)]
    if sizes[0] != sizes[1]:
        yield MachineDifference(
            "grow" if sizes[1] > sizes[0] else "replace", f"root_device_size {sizes[0]} → {sizes[1]}"
        )
    if before.get("root_device_type") != now["root_device_type"]:
        kinds = f"{before.get('root_device_type')} → {now['root_device_type']}"
        yield MachineDifference("replace", f"root_device_type {kinds}")


def _volumes(
    before: Sequence[Mapping[str, object]], now: Sequence[Mapping[str, object]]
) -> Iterator[MachineDifference]:
    if len(before) != len(now):
        yield MachineDifference("replace", f"volumes {len(before)} → {len(now)}")
        return
    for number, (old, new) in enumerate(zip(before, now, strict=True), start=1):
        sizes = [int(text(one, "size", "0")) for one in (old, new)]
        if new.get("keep") and not old.get("keep"):
            yield MachineDifference("replace", f"volume {number} {_NOT_KEPT}")
        elif new.get("keep") and sizes[1] < sizes[0]:
            what = f"volume {number} size {sizes[0]} → {sizes[1]}, but a kept volume can't be made smaller"
            yield MachineDifference("replace", what)
        elif {**old, "size": 0} != {**new, "size": 0} or sizes[1] < sizes[0]:
            yield MachineDifference("replace", f"volume {number} was replaced")
        elif sizes[1] > sizes[0]:
            yield MachineDifference("grow", f"volume {number} size {sizes[0]} → {sizes[1]}")


def _items(value: object) -> list[Mapping[str, object]]:
    return [as_mapping(item) for item in value] if isinstance(value, (list, tuple)) else []


def like_members(attributes: Attributes, members: Sequence[Attributes]) -> Attributes:
    """Return a new member's attributes with its group's AMI: the image word may stand for another one by now.

    Args:
        attributes: the new member's attributes, in the target's form.
        members: the attributes of the group's existing members, from the state.
    """
    word = text(attributes, "image")
    for known in members:
        made = as_mapping(known.get(MADE_WITH) or {})
        if (
            known.get(IMAGE_ID)
            and word == (text(made, "image") or text(known, "image"))
            and texts(known, IMAGE_ID) != (word,)
        ):
            return {**attributes, IMAGE_ID: known[IMAGE_ID]}
    return attributes

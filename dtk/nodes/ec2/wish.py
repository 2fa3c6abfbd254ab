"""Compares an instance's creation parameters with its node's present request: pure data, for use in plans."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from dtk.model.settings import as_mapping, mapping, text, texts
from dtk.model.target import ADOPTED, Attributes, MachineDifference, Target
from dtk.nodes.ec2.disks import Made, Modification, disk_differences, items, made_disks, modifications, modified
from dtk.nodes.ec2.settings import ELASTIC_IP, Ec2Settings, MachineSpec, read_settings, read_spec
from dtk.nodes.ec2.words import IMAGE_ID as AMI

MADE_WITH = "made_with"
"""The node attribute with the creation parameters of its instance, as ``made_with`` returns them."""
KEPT_VOLUMES = "kept_volumes"
"""The node attribute that lists the volumes which remain when its instance is terminated."""
IMAGE_ID = "image_id"
_DIGEST_LENGTH = 12


def made_with(settings: Ec2Settings, spec: MachineSpec, root_device: str = "") -> dict[str, object]:
    """Return an instance's creation parameters that are not in its record otherwise.

    Args:
        settings: the target's settings.
        spec: the node's request.
        root_device: the device of its root disk, which the image determines; "" if it is unknown.
    """
    return {
        "image": spec.image,
        **made_disks(settings, spec, root_device),
        "spot": spec.spot,
        "user_data": hashlib.sha256(spec.user_data.encode()).hexdigest()[:_DIGEST_LENGTH] if spec.user_data else "",
        "instance_profile": settings.instance_profile,
    }


def with_modified_disks(known: Attributes, settings: Ec2Settings, spec: MachineSpec) -> dict[str, object]:
    """Return a node's attributes after its disks were modified as requested.

    Nothing but disks changes, and only what AWS can change: other differences remain, and the next plan finds them.
    """
    made = modified(*_before_and_now(known, settings, spec))
    now = {**known, MADE_WITH: made}
    kept = {text(one, "name"): one["size"] for one in items(made.get("volumes")) if one.get("keep")}
    if found := items(known.get(KEPT_VOLUMES)):
        now[KEPT_VOLUMES] = [{**one, "size": kept.get(text(one, "name"), one.get("size"))} for one in found]
    return now


def with_kept(made: Attributes, kept: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Return what an instance was created with, and its kept volumes as they are.

    A volume that existed before is attached as it is; the next plan shows whether it is to be modified.

    Args:
        made: the creation parameters, as ``made_with`` returns them.
        kept: name, id, size, type and limits of each attached volume.
    """
    if not kept:
        return {MADE_WITH: made}
    found = {text(one, "name"): {name: one[name] for name in ("size", "type", "limits")} for one in kept}
    volumes = [
        {**one, **found.get(text(one, "name"), {})} if one.get("keep") else one for one in items(made.get("volumes"))
    ]
    listed = [{name: one[name] for name in ("name", "id", "size")} for one in kept]
    return {MADE_WITH: {**made, "volumes": volumes}, KEPT_VOLUMES: listed}


def requested_modifications(known: Attributes, settings: Ec2Settings, spec: MachineSpec) -> dict[str, Modification]:
    """Return how the disks of a node's instance are to be modified, by device, as in ``disks.modifications``."""
    return modifications(*_before_and_now(known, settings, spec))


def _before_and_now(known: Attributes, settings: Ec2Settings, spec: MachineSpec) -> tuple[Made, Made]:
    before = mapping(known, MADE_WITH)
    return before, made_with(settings, spec, text(before, "root_device"))


def machine_differences(target: Target, attributes: Attributes, known: Attributes) -> Iterator[MachineDifference]:
    """Yield the differences between a node's instance and the node's present request.

    Args:
        target: the node's target.
        attributes: the node's attributes, in the target's form.
        known: the node's attributes in the state; values that an older dtk did not store are not compared.
    """
    settings = read_settings(target, Path())
    wished = read_spec(settings, "", attributes)
    before, now = _before_and_now(known, settings, wished)
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
    yield from disk_differences(before, now)
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

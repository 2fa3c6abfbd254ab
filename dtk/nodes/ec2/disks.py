"""An instance's disks as it was created with them, and as its node requests them now: what differs, and the remedy.

A disk is compared as parameters of ModifyVolume: ``{"Size": 100, "VolumeType": "gp3", "Iops": 3000, …}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from dtk.model.settings import as_mapping, mapping, text
from dtk.model.target import MachineDifference
from dtk.nodes.ec2.settings import VOLUME_LETTERS, Ec2Settings, MachineSpec, Volume, device_of
from dtk.nodes.ec2.volume_types import NOT_MODIFIED, launched_limits, limits_of
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES

Made = Mapping[str, object]
"""Creation parameters of an instance, as ``made_disks`` returns them; an older dtk stored fewer of them."""
Modification = Mapping[str, object]
"""Parameters of ModifyVolume."""
ROOT = ""
"""Stands for the device of the root disk."""
_LIMITS = {"Iops": "iops", "Throughput": "throughput"}
_UNITS = {"Throughput": " MiB/s"}
_WORDS = {"Size": "size", "VolumeType": "type", **_LIMITS}
_WORDS_OF_ROOT = {
    "Size": "root_device_size",
    "VolumeType": "root_device_type",
    "Iops": "root disk iops",
    "Throughput": "root disk throughput",
}
_IMPOSSIBLE = {
    "Size": ", but a kept volume can't be made smaller",
    "VolumeType": f", but AWS changes no volume from or to {NOT_MODIFIED}",
}
_NOT_KEPT = "has keep: true now, but it is still deleted with its instance: copy its data before you replace the node"


def made_disks(settings: Ec2Settings, spec: MachineSpec, root_device: str) -> dict[str, object]:
    """Return the disks with which an instance is created; without a root device, its limits are unknown."""
    launch = settings.launch
    return {
        "root_device": root_device,
        "root_device_size": spec.root_device_size,
        "root_device_type": spec.root_device_type,
        "root_limits": launched_limits(launch, root_device),
        "volumes": [_volume(launch, place, volume) for place, volume in enumerate(spec.volumes)],
    }


def _volume(launch: Mapping[str, object], place: int, volume: Volume) -> dict[str, object]:
    # A kept volume is not part of the launch.
    launched = {} if volume.keep else launched_limits(launch, device_of(place, volume))
    named = {"name": volume.name} if volume.name else {}
    kept = {"keep": True} if volume.keep else {}
    limits = {**launched, **volume.limits}
    return {"size": volume.size, "type": volume.type, "device": volume.device, "limits": limits, **named, **kept}


def items(value: object) -> list[Mapping[str, object]]:
    """Return the maps of a list that was stored as an attribute."""
    return [as_mapping(item) for item in value] if isinstance(value, (list, tuple)) else []


def modifications(before: Made, now: Made) -> dict[str, Modification]:
    """Return the parameters of ModifyVolume that turn an instance's disks into the requested ones, by device."""
    old, new = _disks(before), _disks(now)
    found = {device: modification(old[device], new[device]) for device in _in_both(before, now)}
    return {device: change for device, change in found.items() if change}


def modification(old: Modification, new: Modification) -> dict[str, object]:
    """Return what of a requested disk AWS can change in place; it neither shrinks a disk nor changes every type."""
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    if _size(new) <= _size(old):
        changed.pop("Size", None)
    if "VolumeType" in changed:
        # With another type, AWS sets limits that the call does not name to the type's defaults.
        changed |= {name: new[name] for name in _LIMITS if name in new}
        if NOT_MODIFIED in (old["VolumeType"], new["VolumeType"]):
            changed = {name: value for name, value in changed.items() if name == "Size"}
    return changed


def modified(before: Made, wanted: Made) -> dict[str, object]:
    """Return an instance's creation parameters after its disks were modified; other differences remain."""
    changes = modifications(before, wanted)
    made, volumes = dict(before), enumerate(items(before.get("volumes")))
    now = [{**volume, **_with(volume, changes.get(_device(place, volume), {}))} for place, volume in volumes]
    if root := changes.get(ROOT):
        disk = _with({"size": _root_size(before), "type": "", "limits": before.get("root_limits")}, root)
        made |= {"root_device_size": disk["size"], "root_limits": disk["limits"]}
        made |= {"root_device_type": root["VolumeType"]} if "VolumeType" in root else {}
    return {**made, "volumes": now}


def _with(disk: Mapping[str, object], change: Modification) -> dict[str, object]:
    limits = {} if "VolumeType" in change else mapping(disk, "limits")
    changed = {word: change[name] for name, word in _LIMITS.items() if name in change}
    return {
        "size": change.get("Size", disk["size"]),
        "type": change.get("VolumeType", disk["type"]),
        "limits": {**limits, **changed},
    }


def disk_differences(before: Made, now: Made) -> Iterator[MachineDifference]:
    """Yield the differences between an instance's disks and the requested ones, each with its remedy."""
    old, new, same = _disks(before), _disks(now), _in_both(before, now)
    yield from _differences("", old[ROOT], new[ROOT], _WORDS_OF_ROOT)
    volumes = items(before.get("volumes")), items(now["volumes"])
    for place, (has, wanted) in enumerate(zip(*volumes, strict=False)):
        device, label = _device(place, wanted), f"volume {wanted.get('name') or place + 1} "
        if wanted.get("keep") and not has.get("keep"):
            yield MachineDifference("replace", label + _NOT_KEPT)
        elif device not in same or (has.get("keep") and not wanted.get("keep")):
            yield MachineDifference("replace", f"{label}was replaced")
        if device in same:
            yield from _differences(label, old[device], new[device], _WORDS, is_kept=wanted.get("keep") is True)
    if len(volumes[0]) != len(volumes[1]):
        yield MachineDifference("replace", f"volumes {len(volumes[0])} → {len(volumes[1])}")


def _differences(
    label: str, old: Modification, new: Modification, words: Mapping[str, str], *, is_kept: bool = False
) -> Iterator[MachineDifference]:
    change = modification(old, new)
    differing = [name for name in words if old.get(name) != new.get(name) and name in new]
    told = {name: _told(name, words[name], old.get(name), new[name]) for name in differing}
    if texts := [told[name] for name in differing if name in change]:
        how: Literal["grow", "modify"] = "grow" if set(change) == {"Size"} else "modify"
        yield MachineDifference(how, label + ", ".join(texts))
    # Where AWS does not change the type, the limits stay as well.
    for name in ("Size", "VolumeType"):
        if name in told and name not in change:
            yield MachineDifference("replace", label + told[name] + (_IMPOSSIBLE[name] if is_kept else ""))


def _told(name: str, word: str, old: object, new: object) -> str:
    return f"{word} {f'{old} → ' if old else ''}{new}{_UNITS.get(name, '')}"


def _disks(made: Made) -> dict[str, dict[str, object]]:
    """Return disks by device."""
    root = _disk(_root_size(made), text(made, "root_device_type"), made.get("root_limits"))
    volumes = enumerate(items(made.get("volumes")))
    others = {
        _device(place, one): _disk(_gigabytes(one), text(one, "type"), one.get("limits")) for place, one in volumes
    }
    return {ROOT: root, **others}


def _disk(size: int, type_: str, limits: object) -> dict[str, object]:
    given = as_mapping(limits)
    known = limits_of(type_, {name: int(text(given, name)) for name in given})
    of_api = {name: known[word] for name, word in _LIMITS.items() if word in known}
    return {"Size": size, "VolumeType": type_, **of_api}


def _in_both(before: Made, now: Made) -> Sequence[str]:
    """Return the devices at which an instance has the disk that is requested there, not another one."""
    pairs = zip(items(before.get("volumes")), items(now.get("volumes")), strict=False)
    same = [
        _device(place, new)
        for place, (old, new) in enumerate(pairs)
        if _device(place, old) == _device(place, new) and (_name(old) == _name(new) or not _name(old))
    ]
    return [ROOT, *same]


def _name(volume: Mapping[str, object]) -> str:
    """Return the name that identifies a volume: only those that are kept have an identity of their own."""
    return text(volume, "name") if volume.get("keep") else ""


def _device(place: int, volume: Mapping[str, object]) -> str:
    return text(volume, "device") or f"/dev/sd{VOLUME_LETTERS[place]}"


def _size(disk: Modification) -> int:
    return int(text(disk, "Size"))


def _gigabytes(volume: Mapping[str, object]) -> int:
    return int(text(volume, "size", "0"))


def _root_size(made: Made) -> int:
    return int(text(made, "root_device_size", "0")) or ROOT_DEVICE_GIGABYTES

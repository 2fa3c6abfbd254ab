"""EBS volume types: the limits that each of them has, and the requests that AWS refuses for certain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dtk.model.settings import as_mapping, mapping, text
from dtk.model.target import Attributes, WrongValue

LIMITS: Mapping[str, Mapping[str, int]] = {
    "gp3": {"iops": 3000, "throughput": 125},
    "io1": {"iops": 0},
    "io2": {"iops": 0},
    "gp2": {},
    "st1": {},
    "sc1": {},
    "standard": {},
}
"""Volume type → the limits that can be set for it, each with AWS's default; 0 if it must be given."""
NOT_MODIFIED = "standard"
"""The type that AWS changes neither from nor to."""
DEFAULT_TYPE = "gp3"
ROOT_TYPE = "root_device_type"
_OF_DATA_ONLY = ("st1", "sc1")
_PARAMETERS = {"iops": "Iops", "throughput": "Throughput"}


def limits_of(type_: str, given: Mapping[str, int]) -> dict[str, int]:
    """Return the limits that a volume of this type has if some are given; all given ones if the type is unknown."""
    defaults = LIMITS.get(type_)
    found = dict(given) if defaults is None else {name: given.get(name, value) for name, value in defaults.items()}
    return {name: value for name, value in found.items() if value}


def launched_limits(launch: Mapping[str, object], device: str) -> dict[str, int]:
    """Return the limits that parameters of RunInstances set for the volume at a device."""
    for one in _launched(launch):
        if one.get("DeviceName") == device:
            volume = mapping(one, "Ebs")
            return {name: int(text(volume, key)) for name, key in _PARAMETERS.items() if volume.get(key)}
    return {}


def wrong_volumes(attributes: Attributes, settings: Mapping[str, object]) -> Iterator[WrongValue]:
    """Yield the combinations in a node's volumes that AWS refuses. Maximum values are AWS's to check: they change.

    Args:
        attributes: the node's own, or the target's defaults.
        settings: the target's settings.
    """
    launch = mapping(settings, "launch")
    root = text(attributes, ROOT_TYPE)
    if root in _OF_DATA_ONLY:
        yield WrongValue(ROOT_TYPE, root, (), "gp3, gp2, io2 or io1", f"a root disk can't have type {root}")
    is_given = settings.get("launch_template") or any("Iops" in mapping(one, "Ebs") for one in _launched(launch))
    if _needs_iops(root) and not is_given:
        expected = "launch: {BlockDeviceMappings: [{DeviceName: /dev/sda1, Ebs: {Iops: 4000}}]} in the target"
        yield WrongValue(ROOT_TYPE, root, (), expected, f"a root disk of type {root} needs iops")
    volumes = attributes.get("volumes")
    for number, volume in enumerate(map(as_mapping, volumes if isinstance(volumes, (list, tuple)) else ()), start=1):
        label = f"volume '{text(volume, 'name')}'" if volume.get("name") else f"volume {number}"
        yield from _wrong_limits(label, volume, launch)


def _wrong_limits(label: str, volume: Mapping[str, object], launch: Mapping[str, object]) -> Iterator[WrongValue]:
    type_ = text(volume, "type", DEFAULT_TYPE)
    label = f"{label} of type {type_}"
    for name in _PARAMETERS:
        if name in volume and name not in LIMITS.get(type_, _PARAMETERS):
            able = " or ".join(other for other, limits in LIMITS.items() if name in limits)
            yield WrongValue("volumes", type_, (), f"no {name}, or type {able}", f"{label} can't have {name}")
    launched = launched_limits(launch, text(volume, "device"))
    if _needs_iops(type_) and "iops" not in {*volume, *launched}:
        example = f"[{{size: 100, type: {type_}, iops: 4000}}]"
        yield WrongValue("volumes", type_, (), example, f"{label} needs iops")


def _needs_iops(type_: str) -> bool:
    return LIMITS.get(type_, {}).get("iops") == 0


def _launched(launch: Mapping[str, object]) -> list[Mapping[str, object]]:
    given = launch.get("BlockDeviceMappings")
    return [as_mapping(one) for one in given] if isinstance(given, list) else []

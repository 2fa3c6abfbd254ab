"""The description of ec2 targets, usable without calls to AWS: known words, firewall, and texts for plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dtk.model.settings import as_mapping, mapping, text, texts
from dtk.model.target import Attributes, MachineDifference, Power, Target, TargetDescription, UnknownWord, networks
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES, unknown_words, words_for


def _machine_attributes(target: Target, attributes: Attributes) -> Attributes:
    return {**attributes, **words_for(attributes, mapping(target.settings, "defaults"))}


def _unknown_words(target: Target, attributes: Attributes) -> Iterable[UnknownWord]:
    return unknown_words(attributes, target.settings)


def _firewall_sources(target: Target) -> tuple[str, ...] | None:
    """Return the networks that may reach open ports; None if the target names groups, which dtk never changes."""
    return None if texts(target.settings, "security_groups") else networks(target, "open_to")


def _region(target: Target) -> str:
    return text(target.settings, "region")


def _machine_text(attributes: Attributes) -> str:
    """Describe a machine by its instance types or size, its image, and its disks and market if they are given."""
    types = texts(attributes, "instance_type") or texts(attributes, "size")
    volumes = attributes.get("volumes")
    sizes = [as_mapping(volume).get("size") for volume in volumes] if isinstance(volumes, (list, tuple)) else []
    disks = [f"{size} GB" for size in [attributes.get("root_device_size"), *sizes] if size]
    market = "spot" if attributes.get("spot") is True else ""
    image, kept = text(attributes, "image"), text(attributes, "image_id")
    image = f"{image} ({kept})" if kept else image
    return ", ".join(part for part in [" or ".join(types), image, *disks, market] if part)


def _machines_text(machines: Sequence[Attributes]) -> str:
    """Count machines by their first type or size, and add up the sizes of their disks as far as they are given."""
    sizes = Counter((texts(one, "instance_type") or texts(one, "size"))[0] for one in machines)
    disks = sum(size for one in machines for size in _disk_sizes(one))
    counted = ", ".join(f"{count} {size}" for size, count in sorted(sizes.items()))
    plural = "" if len(machines) == 1 else "s"
    return f"{len(machines)} instance{plural} ({counted}), {disks} GB of disks" if machines else ""


def _disk_sizes(attributes: Attributes) -> Iterator[int]:
    yield _gigabytes(attributes, "root_device_size") or ROOT_DEVICE_GIGABYTES
    volumes = attributes.get("volumes")
    for volume in map(as_mapping, volumes if isinstance(volumes, (list, tuple)) else ()):
        yield _gigabytes(volume, "size")


def _gigabytes(given: Attributes, name: str) -> int:
    size = text(given, name)
    return int(size) if size.isdecimal() else 0


def _machine_differences(target: Target, attributes: Attributes, known: Attributes) -> Iterable[MachineDifference]:
    # Imported late: only plans of services with machines need it.
    from dtk.nodes.ec2.wish import machine_differences  # noqa: PLC0415

    return machine_differences(target, attributes, known)


def _like_members(attributes: Attributes, members: Sequence[Attributes]) -> Attributes:
    from dtk.nodes.ec2.wish import like_members  # noqa: PLC0415

    return like_members(attributes, members)


def _kept_volumes(attributes: Attributes) -> Iterable[str]:
    volumes = attributes.get("kept_volumes")
    for volume in map(as_mapping, volumes if isinstance(volumes, (list, tuple)) else ()):
        yield f"{volume.get('name')} ({volume.get('id')}, {volume.get('size')} GB)"


def _target_groups(target: Target, attributes: Attributes) -> tuple[str, ...]:
    return texts({**mapping(target.settings, "defaults"), **attributes}, "target_groups")


def _power_refusal(power: Power, attributes: Attributes) -> str:
    is_spot = attributes.get("market") == "spot"
    return "a one-time spot instance can't be stopped" if power == "stop" and is_spot else ""


EC2 = TargetDescription(
    type="ec2",
    summary="Amazon EC2 instances",
    provider="dtk.nodes.ec2.provider:Ec2Provider",
    settings_schema=Path(__file__).with_name("settings.schema.json"),
    machine_attributes=_machine_attributes,
    unknown_words=_unknown_words,
    firewall_sources=_firewall_sources,
    region=_region,
    machine_text=_machine_text,
    machines_text=_machines_text,
    machine_differences=_machine_differences,
    like_members=_like_members,
    power_refusal=_power_refusal,
    kept_volumes=_kept_volumes,
    target_groups=_target_groups,
)

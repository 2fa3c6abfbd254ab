"""The description of ec2 targets, usable without calls to AWS: known words, firewall, and texts for plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dtk.model.settings import as_mapping, as_texts, mapping, text, texts
from dtk.model.target import Attributes, MachineDifference, Power, Target, TargetDescription, WrongValue, networks
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES, TYPE_SIZES, sizes_of, unknown_words, words_for

MIB_PER_GIB = 1024


def _machine_attributes(target: Target, attributes: Attributes) -> Attributes:
    request = {**attributes, **words_for(attributes, mapping(target.settings, "defaults"))}
    image = text(request, "image")
    id_ = target.facts.images.get(image, image)
    return {**request, **({"image_id": id_} if id_ != image else {}), **_size_of(target, request)}


def _size_of(target: Target, request: Attributes) -> Attributes:
    """Return the vCPUs and the memory in MiB of the first type that a machine is requested with, if they are known."""
    size = text(request, "size")
    types = texts(request, "instance_type") or as_texts(sizes_of(target.settings).get(size, size))
    known = {**TYPE_SIZES, **target.facts.sizes}
    if not types or types[0] not in known:
        return {}
    vcpus, memory = known[types[0]]
    return {"vcpus": vcpus, "memory": memory}


def _wrong_values(target: Target, attributes: Attributes) -> Iterable[WrongValue]:
    # Imported late: commands that only list things need no rules for disks.
    from dtk.nodes.ec2.volume_types import wrong_volumes  # noqa: PLC0415

    yield from unknown_words(attributes, target.settings)
    yield from wrong_volumes(attributes, target.settings)


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
    fixed = "elastic IP" if text(attributes, "elastic_ip").lower() not in ("", "false") else ""
    image, kept = text(attributes, "image"), text(attributes, "image_id")
    image = f"{image} ({kept})" if kept else image
    return ", ".join(part for part in [" or ".join(types), image, *disks, market, fixed] if part)


def _machines_text(machines: Sequence[Attributes]) -> str:
    """Count machines by their first type or size; add up their vCPUs, memory and disks.

    A sum without some of the machines would be misleading: vCPUs and memory are shown if all of them are known.
    """
    sizes = Counter((texts(one, "instance_type") or texts(one, "size"))[0] for one in machines)
    disks = sum(size for one in machines for size in _disk_sizes(one))
    counted = ", ".join(f"{count} {size}" for size, count in sorted(sizes.items()))
    plural = "" if len(machines) == 1 else "s"
    is_known = all("vcpus" in one and "memory" in one for one in machines)
    vcpus, memory = (sum(int(text(one, name, "0")) for one in machines) for name in ("vcpus", "memory"))
    power = f"{vcpus} vCPUs, {memory / MIB_PER_GIB:g} GiB of memory, " if is_known else ""
    return f"{len(machines)} instance{plural} ({counted}), {power}{disks} GB of disks" if machines else ""


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


def _target_groups(target: Target, node: str, attributes: Attributes) -> tuple[str, ...]:
    given = {**mapping(target.settings, "defaults"), **attributes}
    groups, wish = texts(given, "target_groups"), mapping(given, "dns")
    if not wish:
        return groups
    from dtk.nodes.ec2.dns_names import dns_texts  # noqa: PLC0415

    return (*groups, *dns_texts(wish, node))


def _power_refusal(power: Power, attributes: Attributes) -> str:
    is_spot = attributes.get("market") == "spot"
    return "a one-time spot instance can't be stopped" if power == "stop" and is_spot else ""


EC2 = TargetDescription(
    type="ec2",
    summary="Amazon EC2 instances",
    provider="dtk.nodes.ec2.provider:Ec2Provider",
    settings_schema=Path(__file__).with_name("settings.schema.json"),
    machine_attributes=_machine_attributes,
    wrong_values=_wrong_values,
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

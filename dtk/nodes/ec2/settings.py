"""What an ec2 target in dtk.yaml and a node's attributes say, as data with every default filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dtk.errors import InvalidError
from dtk.model.machine_words import images_of, is_instance_type, sizes_of, words_for
from dtk.model.target import Target, networks

SERVICES = ("ec2", "ssm", "sts")
"""The services of AWS that a target asks, as boto3 names them."""
_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
BOOT_TIMEOUT_SECONDS = 600.0
"""How long an instance may be pending; a stop with hibernating disks takes minutes as well."""
ROOT_DEVICE_GIGABYTES = 20
VOLUME_LETTERS = "fghijklmnop"
"""Of the devices (``/dev/sdf`` …) that further volumes get: as many as EC2 recommends for them."""


@dataclass(frozen=True)
class Ec2Settings:
    """An ec2 target. Empty texts and tuples stand for what AWS or dtk chooses."""

    name: str
    region: str = ""
    profile: str = ""
    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    """By service (``ec2``, ``ssm``, ``sts``); the AWS tools' own settings say those that are not here."""
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    public: bool = True
    jump: str = ""
    jump_key: str = ""
    user: str = ""
    key_pair: str = ""
    key: str = ""
    security_groups: tuple[str, ...] = ()
    ssh_from: tuple[str, ...] = ()
    open_to: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_profile: str = ""
    images: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    boot_timeout: float = BOOT_TIMEOUT_SECONDS


@dataclass(frozen=True)
class MachineSpec:
    """What one node asks for. ``instance_types`` and ``subnets`` are tried in order when there is no capacity.

    ``size`` is the word that the node has for its types, "" where it names types.
    """

    image: str
    size: str
    instance_types: tuple[str, ...]
    subnets: tuple[str, ...] = ()
    availability_zone: str = ""
    root_device_size: int = ROOT_DEVICE_GIGABYTES
    root_device_type: str = "gp3"
    volumes: tuple[Mapping[str, Any], ...] = ()
    spot: bool = False
    spot_max_price: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: str = ""
    ports: tuple[int, ...] = ()


def read_settings(target: Target, folder: Path) -> Ec2Settings:
    """Return a target's settings.

    Args:
        target: checked by the workspace's schema.
        folder: what a relative path of a key is relative to.
    """
    given = target.settings

    def text(name: str) -> str:
        return str(given.get(name, ""))

    def path(name: str) -> str:
        return str(folder / Path(text(name)).expanduser()) if text(name) else ""

    return Ec2Settings(
        name=target.name,
        region=text("region"),
        profile=text("profile"),
        endpoint_urls=_endpoints(given.get("endpoint_url", {})),
        vpc=text("vpc"),
        subnets=_list(given.get("subnet")),
        public=given.get("addresses", "public") == "public",
        jump=text("jump"),
        jump_key=path("jump_key"),
        user=text("user"),
        key_pair=text("key_pair"),
        key=path("key"),
        security_groups=_list(given.get("security_groups")),
        ssh_from=networks(target, "ssh_from"),
        open_to=networks(target, "open_to"),
        tags=_texts(given.get("tags", {})),
        instance_profile=text("instance_profile"),
        images=images_of(given),
        sizes=sizes_of(given),
        defaults=given.get("defaults", {}),
        boot_timeout=float(given.get("boot_timeout", BOOT_TIMEOUT_SECONDS)),
    )


def _endpoints(given: str | Mapping[str, str]) -> Mapping[str, str]:
    """One endpoint is that of all services, unless it is AWS's own: those answer for one service, which they name."""
    if not isinstance(given, str):
        return dict(given)
    host = urlsplit(given).hostname or ""
    of_ec2_alone = host.endswith(_OF_AWS) and "ec2" in host.split(".")
    return dict.fromkeys(("ec2",) if of_ec2_alone else SERVICES, given)


def read_spec(settings: Ec2Settings, node: str, attributes: Mapping[str, Any]) -> MachineSpec:
    """Return what a node asks for: its own attributes over the target's defaults.

    Raises:
        InvalidError: an attribute's value can't be understood, or names an unknown size.
    """
    wanted = {**settings.defaults, **attributes}
    words = words_for(attributes, settings.defaults)
    types, size = _list(words.get("instance_type")), str(words.get("size", ""))
    try:
        return MachineSpec(
            image=str(words["image"]),
            size=size,
            instance_types=types or _types_of(settings, node, size),
            subnets=_list(wanted.get("subnet")) or settings.subnets,
            availability_zone=str(wanted.get("availability_zone", "")),
            root_device_size=int(wanted.get("root_device_size", ROOT_DEVICE_GIGABYTES)),
            root_device_type=str(wanted.get("root_device_type", "gp3")),
            volumes=_volumes(wanted.get("volumes", ())),
            spot=str(wanted.get("spot", False)).lower() == "true",
            spot_max_price=str(wanted.get("spot_max_price", "")),
            tags={**settings.tags, **_texts(wanted.get("tags", {}))},
            user_data=str(wanted.get("user_data", "")),
            ports=tuple(int(port) for port in wanted.get("ports", ())),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidError(f"the attributes of node '{node}' are no good for an ec2 target: {error}") from None


def _types_of(settings: Ec2Settings, node: str, size: str) -> tuple[str, ...]:
    """A size that is no word of the dictionary but looks like an instance type is one."""
    if size in settings.sizes:
        return _list(settings.sizes[size])
    if is_instance_type(size):
        return (size,)
    raise InvalidError(
        f"node '{node}' wants size '{size}', which target '{settings.name}' does not know",
        hint=f"use one of {', '.join(settings.sizes)} or an instance type, or add it under sizes: in dtk.yaml",
    )


def _volumes(given: Any) -> tuple[Mapping[str, Any], ...]:
    volumes = tuple({**volume, "size": int(volume["size"])} for volume in given if _is_volume(volume))
    if len(volumes) > len(VOLUME_LETTERS):
        raise ValueError(f"{len(volumes)} volumes, and at most {len(VOLUME_LETTERS)} can be had")
    return volumes


def _is_volume(volume: Any) -> bool:
    if not isinstance(volume, Mapping) or "size" not in volume:
        raise ValueError("each of volumes needs a size: [{size: 100, type: gp3}]")
    return True


def _list(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}

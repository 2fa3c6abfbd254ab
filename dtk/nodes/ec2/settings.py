"""The settings of an ec2 target in dtk.yaml and the request of a node, parsed, with all defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dtk.errors import InvalidError
from dtk.model.settings import as_mapping, as_texts, mapping, number, text, texts
from dtk.model.target import Target, networks
from dtk.nodes.ec2.words import images_of, is_instance_type, sizes_of, words_for

SERVICES = ("ec2", "ssm", "sts", "elbv2", "route53", "service-quotas")
"""The AWS services that a target calls, as boto3 names them."""
_OF_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
BOOT_TIMEOUT_SECONDS = 600.0
"""How long an instance may be pending; a stop with hibernation takes minutes as well."""
HEALTH_TIMEOUT_SECONDS = 300.0
"""How long a node may take until its target groups find it healthy: the slowest common health checks take 150."""
ELASTIC_IP = "elastic_ip"
VOLUME_LETTERS = "fghijklmnop"
"""Letters of the devices (``/dev/sdf`` …) for further volumes: those that EC2 recommends."""


@dataclass(frozen=True)
class Ec2Settings:
    """The settings of an ec2 target. Empty texts and tuples mean that AWS or dtk chooses."""

    name: str
    region: str = ""
    profile: str = ""
    endpoint_urls: Mapping[str, str] = field(default_factory=dict)
    """By service as in ``SERVICES``; for missing ones the AWS tools' own settings apply."""
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    public: bool = True
    jump: str = ""
    jump_key: str = ""
    proxy_command: str = ""
    ssh_config: bool = False
    user: str = ""
    key_pair: str = ""
    key: str = ""
    security_groups: tuple[str, ...] = ()
    ssh_from: tuple[str, ...] = ()
    open_to: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_profile: str = ""
    images: Mapping[str, object] = field(default_factory=dict)
    sizes: Mapping[str, object] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)
    boot_timeout: float = BOOT_TIMEOUT_SECONDS
    health_timeout: float = HEALTH_TIMEOUT_SECONDS
    spread: str = ""
    """``availability_zone`` or ``none``; "" spreads groups over zones if no subnet is named."""
    kms_key: str = ""
    """The key for disk encryption, "" for the account's default key."""
    launch: Mapping[str, object] = field(default_factory=dict)
    """Parameters of RunInstances, by the API's names; dtk's own arguments take precedence."""
    launch_template: Mapping[str, str] = field(default_factory=dict)
    """In the API's form; empty for none."""

    @property
    def is_reached_from_inside(self) -> bool:
        """Whether no rule for SSH is needed: the proxy command connects inside the machine, for example to an agent."""
        return bool(self.proxy_command and not self.ssh_from)


@dataclass(frozen=True)
class Volume:
    """A disk besides the root device: its size in GB; ``device`` "" means the next free letter.

    ``limits`` contains ``iops`` and ``throughput`` (MiB/s) if they are set.
    """

    size: int
    type: str = "gp3"
    device: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    kms_key: str = ""
    name: str = ""
    keep: bool = False
    """Whether it outlives its instance and is attached to the node's next one."""


def device_of(number: int, volume: Volume) -> str:
    """Return the device of a node's volume with this number, counted from 0."""
    return volume.device or f"/dev/sd{VOLUME_LETTERS[number]}"


@dataclass(frozen=True)
class MachineSpec:
    """The request of one node. ``instance_types`` and ``subnets`` are tried in order if there is no capacity.

    ``size`` is the node's word for its types, "" if it names types.
    """

    image: str
    size: str
    instance_types: tuple[str, ...]
    subnets: tuple[str, ...] = ()
    availability_zone: str = ""
    root_device_size: int = 0
    """In GB; 0 for the image's size, but at least 20."""
    root_device_type: str = "gp3"
    volumes: tuple[Volume, ...] = ()
    spot: bool = False
    spot_max_price: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    user_data: str = ""
    ports: tuple[int, ...] = ()
    image_id: str = ""
    """The AMI that the image word stood for when the group's other members were created; "" to resolve it now."""
    kms_key: str = ""
    elastic_ip: str = ""
    """``true`` for one that dtk allocates, or an allocation's id; "" for none."""


def read_settings(target: Target, folder: Path) -> Ec2Settings:
    """Return a target's settings.

    Args:
        target: the target, validated by the workspace's schema.
        folder: the base of relative key paths.
    """
    given = target.settings

    def path(name: str) -> str:
        return str(folder / Path(text(given, name)).expanduser()) if text(given, name) else ""

    return Ec2Settings(
        name=target.name,
        region=text(given, "region"),
        profile=text(given, "profile"),
        endpoint_urls=_endpoints(given.get("endpoint_url")),
        vpc=text(given, "vpc"),
        subnets=texts(given, "subnet"),
        public=given.get("addresses", "public") == "public",
        jump=text(given, "jump"),
        jump_key=path("jump_key"),
        proxy_command=text(given, "proxy_command"),
        ssh_config=given.get("ssh_config") is True,
        user=text(given, "user"),
        key_pair=text(given, "key_pair"),
        key=path("key"),
        security_groups=texts(given, "security_groups"),
        ssh_from=networks(target, "ssh_from"),
        open_to=networks(target, "open_to"),
        tags=_tags(given.get("tags")),
        instance_profile=text(given, "instance_profile"),
        images=images_of(given),
        sizes=sizes_of(given),
        defaults=mapping(given, "defaults"),
        boot_timeout=number(given, "boot_timeout", BOOT_TIMEOUT_SECONDS),
        health_timeout=number(given, "health_timeout", HEALTH_TIMEOUT_SECONDS),
        spread=text(given, "spread"),
        kms_key=text(given, "kms_key"),
        launch=mapping(given, "launch"),
        launch_template=_template(given.get("launch_template")),
    )


def _template(given: object) -> Mapping[str, str]:
    """Return a launch template in the API's form: by id or by name, with its version."""
    said = {"name": given} if isinstance(given, str) else _tags(given)
    name = str(said.get("name", ""))
    if not name:
        return {}
    key = "LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName"
    return {key: name, **({"Version": str(said["version"])} if "version" in said else {})}


def _endpoints(given: object) -> Mapping[str, str]:
    """Return the endpoints by service: a single one is for all of them, unless it is AWS's own for EC2."""
    if not isinstance(given, str):
        return _tags(given)
    host = urlsplit(given).hostname or ""
    of_ec2_alone = host.endswith(_OF_AWS) and "ec2" in host.split(".")
    return dict.fromkeys(("ec2",) if of_ec2_alone else SERVICES, given)


def read_spec(settings: Ec2Settings, node: str, attributes: Mapping[str, object]) -> MachineSpec:
    """Return a node's request: its own attributes, then the target's defaults.

    Raises:
        InvalidError: an attribute has an invalid value, or names an unknown size.
    """
    asked = {**settings.defaults, **attributes}
    words = words_for(attributes, settings.defaults)
    types, size = texts(words, "instance_type"), text(words, "size")
    try:
        return MachineSpec(
            image=text(words, "image"),
            size=size,
            instance_types=types or _types_of(settings, node, size),
            subnets=texts(asked, "subnet") or settings.subnets,
            availability_zone=text(asked, "availability_zone"),
            root_device_size=int(text(asked, "root_device_size", "0")),
            root_device_type=text(asked, "root_device_type", "gp3"),
            volumes=_volumes(asked.get("volumes", ())),
            spot=text(asked, "spot").lower() == "true",
            spot_max_price=text(asked, "spot_max_price"),
            tags={**settings.tags, **_tags(asked.get("tags"))},
            user_data=text(asked, "user_data"),
            ports=tuple(map(int, texts(asked, "ports"))),
            image_id=text(asked, "image_id"),
            kms_key=settings.kms_key,
            elastic_ip="" if text(asked, ELASTIC_IP).lower() == "false" else text(asked, ELASTIC_IP).lower(),
        )
    except (TypeError, ValueError) as error:
        raise InvalidError(f"the attributes of node '{node}' can't be used for an ec2 target: {error}") from None


def _types_of(settings: Ec2Settings, node: str, size: str) -> tuple[str, ...]:
    """Return the instance types of a size; an unknown size that looks like an instance type is one."""
    if size in settings.sizes:
        return as_texts(settings.sizes[size])
    if is_instance_type(size):
        return (size,)
    raise InvalidError(
        f"target '{settings.name}' does not know the size '{size}' of node '{node}'",
        hint=f"use one of {', '.join(settings.sizes)} or an instance type, or add it under sizes: in dtk.yaml",
    )


def _volumes(given: object) -> tuple[Volume, ...]:
    volumes = tuple(_volume(volume) for volume in (given if isinstance(given, (list, tuple)) else ()))
    names = [volume.name for volume in volumes if volume.name]
    if len(set(names)) < len(names):
        raise ValueError("two volumes have the same name")
    if len(volumes) > len(VOLUME_LETTERS):
        raise ValueError(f"{len(volumes)} volumes, but at most {len(VOLUME_LETTERS)} are possible")
    return volumes


def _volume(given: object) -> Volume:
    volume = as_mapping(given)
    if "size" not in volume:
        raise ValueError("each volume needs a size: [{size: 100, type: gp3}]")
    limits = {name: int(text(volume, name)) for name in ("iops", "throughput") if name in volume}
    name, keep = text(volume, "name"), text(volume, "keep").lower() == "true"
    if keep and not name:
        raise ValueError("a volume that is kept needs a name: [{name: data, size: 100, keep: true}]")
    device, key = text(volume, "device"), text(volume, "kms_key")
    return Volume(int(text(volume, "size")), text(volume, "type", "gp3"), device, limits, key, name, keep)


def _tags(given: object) -> dict[str, str]:
    return {name: str(value) for name, value in as_mapping(given).items()}

"""One RunInstances call: how it is recorded before it is made, and its arguments.

A target's ``launch`` parameters can't override dtk's own arguments, such as tokens, tags, network and disks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dtk.model.settings import as_mapping, number
from dtk.model.target import Attributes
from dtk.nodes.ec2.access import Access
from dtk.nodes.ec2.images import Image
from dtk.nodes.ec2.network import Subnet
from dtk.nodes.ec2.settings import Ec2Settings, MachineSpec, Volume, device_of
from dtk.nodes.ec2.tags import NODES, OWN_PREFIX, TOKEN, as_list, node_tags, nodes_of, nodes_text
from dtk.nodes.provider import ServiceIdentity

BlockDevice = dict[str, object]
"""An item of the API's BlockDeviceMappings."""
_LIMIT_KEYS = {"iops": "Iops", "throughput": "Throughput"}
_TAGGED = ("instance", "volume", "network-interface")


@dataclass(frozen=True)
class LaunchContext:
    """What all instances of a service have in common."""

    settings: Ec2Settings
    identity: ServiceIdentity
    groups: tuple[str, ...]
    access: Access
    tags: Mapping[str, str]
    location: Mapping[str, str]
    """Region and account, by their names in node attributes."""

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags that only dtk may set."""
        return {name: value for name, value in self.tags.items() if name.startswith(OWN_PREFIX)}


@dataclass(frozen=True)
class MachineRequest:
    """A request of nodes with equal attributes, resolved: the image, and the subnets to try, in order."""

    spec: MachineSpec
    image: Image
    subnets: Sequence[Subnet]
    offered: frozenset[tuple[str, str]] | None = None
    """Pairs of instance type and zone that offers it; None if unknown."""
    vcpus: int = 0
    """The vCPUs of its first instance type, 0 if unknown."""


@dataclass(frozen=True)
class Placement:
    """The subnet, instance type and market (spot or not) of a call."""

    instance_type: str
    subnet: str
    spot: bool


@dataclass(frozen=True)
class Call:
    """One RunInstances call, as it is recorded before it is made; ``at`` is its time in seconds since 1970."""

    token: str
    nodes: Sequence[str]
    placement: Placement
    image: str
    at: float

    def recorded(self) -> dict[str, str]:
        """Return the call as attributes of its nodes."""
        return {
            "client_token": self.token,
            "requested": nodes_text(self.nodes),
            "requested_at": f"{self.at:.0f}",
            "instance_type": self.placement.instance_type,
            "subnet": self.placement.subnet,
            "market": "spot" if self.placement.spot else "on-demand",
            "image_id": self.image,
        }

    @staticmethod
    def of(attributes: Attributes) -> Call | None:
        """Return the call recorded in a node's attributes, or None."""
        if not attributes.get("client_token"):
            return None
        given = {name: str(attributes.get(name, "")) for name in ("requested", "instance_type", "subnet", "image_id")}
        placement = Placement(given["instance_type"], given["subnet"], attributes.get("market") == "spot")
        at = number(attributes, "requested_at", 0.0)
        return Call(str(attributes["client_token"]), nodes_of(given["requested"]), placement, given["image_id"], at)


def run_arguments(context: LaunchContext, machine: MachineRequest, call: Call) -> dict[str, object]:
    """Return the arguments of RunInstances."""
    spec, image, placement = machine.spec, machine.image, call.placement
    names = node_tags(context.identity, call.nodes[0]) if len(call.nodes) == 1 else {}
    tags = {**context.tags, **names, **spec.tags, **context.own_tags, NODES: nodes_text(call.nodes), TOKEN: call.token}
    optional: dict[str, object] = {}
    if context.settings.instance_profile:
        profile = context.settings.instance_profile
        optional["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if spec.user_data:
        optional["UserData"] = spec.user_data
    if placement.spot:
        optional["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": _spot_options(spec)}
    if context.settings.launch_template:
        optional["LaunchTemplate"] = dict(context.settings.launch_template)
    tagged = [*_TAGGED, *(["spot-instances-request"] if placement.spot else [])]
    own: dict[str, object] = {
        "ClientToken": call.token,
        # Create as many instances as there is capacity for; the others are requested elsewhere.
        "MinCount": 1,
        "MaxCount": len(call.nodes),
        "ImageId": image.id,
        "InstanceType": placement.instance_type,
        "KeyName": context.access.key_pair,
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": placement.subnet,
                "Groups": list(context.groups),
                "AssociatePublicIpAddress": context.settings.public,
            }
        ],
        "BlockDeviceMappings": list(_disks(spec, image)),
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": [{"ResourceType": type_, "Tags": as_list(tags)} for type_ in tagged],
        **optional,
    }
    return _merged(context.settings.launch, own)


def _merged(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Merge API parameters; ``over`` wins, and maps and corresponding items of lists are merged recursively."""
    merged = {**under, **over}
    for name in under.keys() & over.keys():
        merged[name] = _both(under[name], over[name])
    return merged


def _both(under: object, over: object) -> object:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        return _merged(as_mapping(under), as_mapping(over))
    if not isinstance(under, list) or not isinstance(over, list):
        return over
    # Disks are matched by device, interfaces by index; items that only the target names are added.
    names = ("DeviceName", "DeviceIndex", "ResourceType")
    found = {_place(item, names): item for item in under}
    merged = [_both(found.pop(_place(item, names), item), item) for item in over]
    return [*merged, *found.values()]


def _place(item: object, names: Sequence[str]) -> str:
    known = as_mapping(item) if isinstance(item, Mapping) else {}
    return next((f"{name} {known[name]}" for name in names if name in known), str(item))


def _spot_options(spec: MachineSpec) -> dict[str, str]:
    price = {"MaxPrice": spec.spot_max_price} if spec.spot_max_price else {}
    return {"SpotInstanceType": "one-time", **price}


def _disks(spec: MachineSpec, image: Image) -> Iterator[BlockDevice]:
    yield _disk(image.root_device, Volume(spec.root_device_size, spec.root_device_type), spec.kms_key)
    for place, volume in enumerate(spec.volumes):
        # A kept volume is created, or found again, once the instance runs.
        if not volume.keep:
            yield _disk(device_of(place, volume), volume, volume.kms_key or spec.kms_key)


def _disk(device: str, volume: Volume, kms_key: str) -> BlockDevice:
    limits: dict[str, object] = {_LIMIT_KEYS[name]: value for name, value in volume.limits.items()}
    limits |= {"KmsKeyId": kms_key} if kms_key else {}
    disk = {"VolumeSize": volume.size, "VolumeType": volume.type, "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": device, "Ebs": {**disk, **limits}}

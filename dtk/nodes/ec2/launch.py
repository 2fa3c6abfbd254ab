"""Makes instances: one call for all like nodes, other places when there is no capacity, never two for one node.

Every call has a client token derived from the task, the nodes and the place it asks for. Token and nodes are on disk
before the call is made; the tags that the call gives tie each instance to its node. So whatever is lost, the answer
or this process, the instance is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtk.errors import DtkError
from dtk.nodes.ec2.access import Access
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.images import Image
from dtk.nodes.ec2.instances import Instance, to_instance
from dtk.nodes.ec2.network import Subnet
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError
from dtk.nodes.ec2.settings import VOLUME_LETTERS, Ec2Settings, MachineSpec
from dtk.nodes.ec2.tags import LONGEST_VALUE, NODES, TOKEN, as_list, nodes_text
from dtk.nodes.provider import Record, ServiceIdentity

MOST_AT_ONCE = 100
"""Nodes of one call."""


@dataclass(frozen=True)
class Site:
    """What all instances of a service share."""

    settings: Ec2Settings
    identity: ServiceIdentity
    groups: tuple[str, ...]
    access: Access
    tags: Mapping[str, str]
    place: Mapping[str, str]
    """Region and account, by their names in node attributes."""


@dataclass(frozen=True)
class Wish:
    """What like nodes ask for, looked up: the image, the subnets that may be tried, in order."""

    spec: MachineSpec
    image: Image
    subnets: Sequence[Subnet]


@dataclass(frozen=True)
class Place:
    """Where a call asks for instances, of which type, in which market."""

    instance_type: str
    subnet: str
    spot: bool


@dataclass
class Outcome:
    """What became of a batch: the instance of each node that has one, why the others have none."""

    made: dict[str, Instance]
    failed: dict[str, DtkError]


def launch(aws: Aws, site: Site, wish: Wish, nodes: Sequence[str], record: Record) -> Outcome:
    """Make the instances of like nodes.

    Args:
        aws: where.
        site: what they share with the service's others.
        wish: what each of them asks for.
        nodes: whom they are for.
        record: told the nodes and the token before each call.

    Returns:
        What became of each node. An answer that was lost counts as failed here; the tags bring it back.
    """
    outcome = Outcome({}, {})
    for batch in batches(nodes):
        _launch_batch(aws, site, wish, batch, record, outcome)
    return outcome


def batches(nodes: Sequence[str]) -> Iterator[list[str]]:
    """Cut nodes into calls: as many as fit into a tag, and into a call."""
    batch: list[str] = []
    for node in nodes:
        if batch and (len(batch) == MOST_AT_ONCE or len(nodes_text([*batch, node])) > LONGEST_VALUE):
            yield batch
            batch = []
        batch.append(node)
    if batch:
        yield batch


def _launch_batch(aws: Aws, site: Site, wish: Wish, nodes: list[str], record: Record, outcome: Outcome) -> None:
    waiting = nodes
    full = DtkError(f"no subnet of target '{site.settings.name}' suits what {nodes_text(nodes)} asks for")
    for place in places(wish):
        token = client_token(site.identity, waiting, place)
        record(waiting, {"client_token": token, **site.place})
        try:
            answer = aws.call("run_instances", **request(site, wish, place, waiting, token))
        except AwsError as error:
            record(waiting, {})
            full = error
            if error.code in NO_CAPACITY:
                continue
            break
        except DtkError as error:
            full = error
            break
        instances = [to_instance(data, answer) for data in answer["Instances"]]
        made = {instance.node: instance for instance in instances}
        outcome.made |= made
        waiting = [node for node in waiting if node not in made]
        if not waiting:
            return
        full = DtkError(f"there was room for {len(made)} of {len(nodes)} instances only, in {place.subnet}")
    outcome.failed |= dict.fromkeys(waiting, full)


def places(wish: Wish) -> list[Place]:
    """Return where to ask, in order: spot first when it is wanted, each type in every subnet, then on demand."""
    zone, spec = wish.spec.availability_zone, wish.spec
    allowed = [subnet.id for subnet in wish.subnets if zone in ("", subnet.availability_zone)]
    markets = (True, False) if spec.spot else (False,)
    return [Place(type_, subnet, spot) for spot in markets for type_ in spec.instance_types for subnet in allowed]


def client_token(identity: ServiceIdentity, nodes: Sequence[str], place: Place) -> str:
    """Return the token of one call: the same for the same task, nodes and place; at most 64 characters."""
    text = "\n".join([identity.lineage, str(identity.task), nodes_text(nodes), repr(place)])
    return f"dtk-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


def request(site: Site, wish: Wish, place: Place, nodes: Sequence[str], token: str) -> dict[str, Any]:
    """Return the arguments of RunInstances."""
    spec, image = wish.spec, wish.image
    tags = {**spec.tags, **site.tags, NODES: nodes_text(nodes), TOKEN: token}
    optional: dict[str, Any] = {}
    if site.settings.instance_profile:
        profile = site.settings.instance_profile
        optional["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if spec.user_data:
        optional["UserData"] = spec.user_data
    if place.spot:
        optional["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": _spot_options(spec)}
    return {
        "ClientToken": token,
        # As many as there is room for: the others are asked for elsewhere.
        "MinCount": 1,
        "MaxCount": len(nodes),
        "ImageId": image.id,
        "InstanceType": place.instance_type,
        "KeyName": site.access.key_pair,
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": place.subnet,
                "Groups": list(site.groups),
                "AssociatePublicIpAddress": site.settings.public,
            }
        ],
        "BlockDeviceMappings": list(_disks(spec, image)),
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        "TagSpecifications": [{"ResourceType": type_, "Tags": as_list(tags)} for type_ in ("instance", "volume")],
        **optional,
    }


def _spot_options(spec: MachineSpec) -> dict[str, str]:
    price = {"MaxPrice": spec.spot_max_price} if spec.spot_max_price else {}
    return {"SpotInstanceType": "one-time", **price}


def _disks(spec: MachineSpec, image: Image) -> Iterator[dict[str, Any]]:
    yield _disk(image.root_device, spec.root_device_size, {"type": spec.root_device_type})
    for letter, volume in zip(VOLUME_LETTERS, spec.volumes, strict=False):
        yield _disk(str(volume.get("device", f"/dev/sd{letter}")), int(volume["size"]), volume)


def _disk(device: str, size: int, volume: Mapping[str, Any]) -> dict[str, Any]:
    settings = {"VolumeSize": size, "VolumeType": str(volume.get("type", "gp3")), "Encrypted": True}
    extra = {key: int(volume[name]) for name, key in (("iops", "Iops"), ("throughput", "Throughput")) if name in volume}
    return {"DeviceName": device, "Ebs": {**settings, **extra, "DeleteOnTermination": True}}

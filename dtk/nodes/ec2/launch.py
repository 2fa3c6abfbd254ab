"""Makes instances: one call for all like nodes, other places when there is no capacity, never two for one node.

Every call has a client token derived from the task, the nodes and the place it asks for. Token and nodes are on disk
before the call is made; the tags that the call gives tie each instance to its node. So whatever is lost, the answer
or this process, the instance is found again (dtk.nodes.ec2.unanswered).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dtk.errors import DtkError
from dtk.model.settings import number
from dtk.model.target import Attributes
from dtk.nodes.ec2.access import Access
from dtk.nodes.ec2.answers import Reservation
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.images import Image
from dtk.nodes.ec2.instances import Ec2Instance, to_instance
from dtk.nodes.ec2.made import assigned, find_made, note_nodes
from dtk.nodes.ec2.network import Subnet
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError
from dtk.nodes.ec2.settings import VOLUME_LETTERS, Ec2Settings, MachineSpec, Volume
from dtk.nodes.ec2.tags import (
    LONGEST_VALUE,
    NODES,
    ORIGIN,
    OWN_PREFIX,
    TOKEN,
    as_list,
    node_tags,
    nodes_of,
    nodes_text,
)
from dtk.nodes.provider import Record, ServiceIdentity, rival_error

MOST_AT_ONCE = 100
"""Nodes of one call."""
MOST_TOKENS = 5
BlockDevice = dict[str, object]
"""An item of the API's BlockDeviceMappings."""
_LIMIT_KEYS = {"iops": "Iops", "throughput": "Throughput"}
ENDED, MISMATCH = "IdempotentInstanceTerminated", "IdempotentParameterMismatch"
"""An earlier call had this token: its instances have ended, or it asked for something else."""


@dataclass(frozen=True)
class LaunchContext:
    """What all instances of a service share."""

    settings: Ec2Settings
    identity: ServiceIdentity
    groups: tuple[str, ...]
    access: Access
    tags: Mapping[str, str]
    location: Mapping[str, str]
    """Region and account, by their names in node attributes."""

    @property
    def own_tags(self) -> dict[str, str]:
        """Those that nobody else may set."""
        return {name: value for name, value in self.tags.items() if name.startswith(OWN_PREFIX)}


@dataclass(frozen=True)
class MachineRequest:
    """What like nodes ask for, looked up: the image, the subnets that may be tried, in order."""

    spec: MachineSpec
    image: Image
    subnets: Sequence[Subnet]


@dataclass(frozen=True)
class Placement:
    """Where a call asks for instances, of which type, in which market."""

    instance_type: str
    subnet: str
    spot: bool


@dataclass(frozen=True)
class Call:
    """One RunInstances call, as it is recorded before it is made; ``at`` is when, seconds since 1970."""

    token: str
    nodes: Sequence[str]
    placement: Placement
    image: str
    at: float

    def recorded(self) -> dict[str, str]:
        """Return it as the attributes of its nodes."""
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
        """Return the call that a node's attributes record; None when there is none."""
        if not attributes.get("client_token"):
            return None
        given = {name: str(attributes.get(name, "")) for name in ("requested", "instance_type", "subnet", "image_id")}
        placement = Placement(given["instance_type"], given["subnet"], attributes.get("market") == "spot")
        at = number(attributes, "requested_at", 0.0)
        return Call(str(attributes["client_token"]), nodes_of(given["requested"]), placement, given["image_id"], at)


@dataclass
class Outcome:
    """What became of a batch: the instance of each node that has one, why the others have none."""

    made: dict[str, Ec2Instance]
    failed: dict[str, DtkError]


def launch(aws: Aws, context: LaunchContext, machine: MachineRequest, nodes: Sequence[str], record: Record) -> Outcome:
    """Make the instances of like nodes.

    Args:
        aws: where.
        context: what they share with the service's others.
        machine: what each of them asks for.
        nodes: whom they are for.
        record: called with the nodes and the call before each call.

    Returns:
        What became of each node. An answer that was lost counts as failed here; what was recorded brings it back.
    """
    outcome = Outcome({}, {})
    for batch in batches(nodes):
        _launch_batch(aws, context, machine, batch, record, outcome)
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


def _launch_batch(
    aws: Aws, context: LaunchContext, machine: MachineRequest, nodes: list[str], record: Record, outcome: Outcome
) -> None:
    waiting = nodes
    reason = DtkError(f"no subnet of target '{context.settings.name}' suits what {nodes_text(nodes)} asks for")
    for placement in placements(machine):
        try:
            # Until the place says why it has no more: a call makes as many as there is room for.
            while waiting:
                made = _launch_at(aws, context, machine, placement, waiting, record)
                outcome.made |= made
                waiting = [node for node in waiting if node not in made]
            return
        except AwsError as error:
            if not error.in_doubt:
                record(waiting, {})
            reason = error
            if error.code not in NO_CAPACITY:
                break
        except DtkError as error:
            reason = error
            break
    outcome.failed |= dict.fromkeys(waiting, reason)


def _launch_at(
    aws: Aws,
    context: LaunchContext,
    machine: MachineRequest,
    placement: Placement,
    nodes: Sequence[str],
    record: Record,
) -> dict[str, Ec2Instance]:
    """Ask for instances in one place; a token that an earlier call has used up is left for the next one."""
    for attempt in range(MOST_TOKENS):
        call = Call(
            client_token(context.identity, nodes, placement, attempt), nodes, placement, machine.image.id, time.time()
        )
        record(nodes, {**call.recorded(), **context.location})
        try:
            made = run_call(aws, context, machine, call)
        except AwsError as error:
            if error.code not in (ENDED, MISMATCH):
                raise
            # Another call had this token and asked for something else: what it made serves its nodes.
            made = find_made(aws, call.token, call.at) if error.code == MISMATCH else {}
            refuse_rivals(context.identity, made.values())
        if made:
            return made
    raise DtkError(f"EC2 answers for {nodes_text(nodes)} with instances that have ended", hint="apply again")


def run_call(aws: Aws, context: LaunchContext, machine: MachineRequest, call: Call) -> dict[str, Ec2Instance]:
    """Make a call; return the instances of its answer that exist, by node."""
    settling = [] if context.settings.security_groups else ["InvalidGroup.NotFound"]
    settling += [] if context.settings.key_pair else ["InvalidKeyPair.NotFound"]
    answer = aws.request("run_instances", Reservation, run_arguments(context, machine, call), settling=settling)
    given = [to_instance(data, answer.get("OwnerId", "")) for data in answer["Instances"]]
    instances = assigned(given)
    note_nodes(aws, given, instances)
    return {instance.node: instance for instance in instances if instance.exists}


def refuse_rivals(identity: ServiceIdentity, instances: Iterable[Ec2Instance]) -> None:
    """Refuse instances that another clone makes for the service, at this moment or since somebody looked.

    Raises:
        DtkError: names one of them.
    """
    for instance in instances:
        if identity.is_rival(instance.tags.get(ORIGIN, "")):
            since = instance.data.get("LaunchTime")
            made = f", made {since.isoformat(timespec='seconds')}" if isinstance(since, datetime) else ""
            raise rival_error(identity.service, f"{instance.node} is instance {instance.id}{made}")


def placements(machine: MachineRequest) -> list[Placement]:
    """Return where to ask, in order: spot first when it is wanted, each type in every subnet, then on demand."""
    zone, spec = machine.spec.availability_zone, machine.spec
    allowed = [subnet.id for subnet in machine.subnets if zone in ("", subnet.availability_zone)]
    markets = (True, False) if spec.spot else (False,)
    return [Placement(type_, subnet, spot) for spot in markets for type_ in spec.instance_types for subnet in allowed]


def client_token(identity: ServiceIdentity, nodes: Sequence[str], placement: Placement, attempt: int = 0) -> str:
    """Return the token of one call: the same for the same task, nodes, place and attempt; at most 64 characters."""
    again = [str(attempt)] if attempt else []
    where = [placement.instance_type, placement.subnet, "spot" if placement.spot else "on-demand"]
    text = "\n".join([identity.lineage, str(identity.task), nodes_text(nodes), *where, *again])
    return f"dtk-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


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
    return {
        "ClientToken": call.token,
        # As many as there is room for: the others are asked for elsewhere.
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
        "TagSpecifications": [{"ResourceType": type_, "Tags": as_list(tags)} for type_ in ("instance", "volume")],
        **optional,
    }


def _spot_options(spec: MachineSpec) -> dict[str, str]:
    price = {"MaxPrice": spec.spot_max_price} if spec.spot_max_price else {}
    return {"SpotInstanceType": "one-time", **price}


def _disks(spec: MachineSpec, image: Image) -> Iterator[BlockDevice]:
    yield _disk(image.root_device, Volume(spec.root_device_size, spec.root_device_type))
    for letter, volume in zip(VOLUME_LETTERS, spec.volumes, strict=False):
        yield _disk(volume.device or f"/dev/sd{letter}", volume)


def _disk(device: str, volume: Volume) -> BlockDevice:
    limits = {_LIMIT_KEYS[name]: value for name, value in volume.limits.items()}
    disk = {"VolumeSize": volume.size, "VolumeType": volume.type, "Encrypted": True, "DeleteOnTermination": True}
    return {"DeviceName": device, "Ebs": {**disk, **limits}}

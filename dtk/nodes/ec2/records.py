"""Converts an instance's description to the record of its node."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from dtk.errors import DtkError
from dtk.model.target import ADOPTED, Attributes
from dtk.nodes.ec2.answers import InstanceAnswer
from dtk.nodes.ec2.instances import STATUS, Ec2Instance
from dtk.nodes.ec2.location import ACCOUNT, REGION
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import NAME, NODE, VERSION, is_adopted
from dtk.nodes.provider import Connection, NodeRecord
from dtk.nodes.proxy_command import with_proxy_command
from dtk.nodes.ssh_config import sample_addresses, with_ssh_config

USER = "image_user"
"""The node attribute with the image's login user; ``user`` is the user that actually logged in."""
NOT_COMPARED = (VERSION, NAME, NODE)
"""Tags that another version of dtk, or AWS's delay in showing them, may have changed."""


def node_record(node: str, id_: str, user: str, key: str, attributes: Attributes) -> NodeRecord:
    """Return the record of a node whose instance has no address yet; ``user`` is the image's login user."""
    return NodeRecord(node, id_, "pending", Connection("", key=key), {**attributes, USER: user})


def connection_to(record: NodeRecord, settings: Ec2Settings) -> Connection:
    """Return how to reach a node with its target's present settings.

    An instance keeps its key for life: the target's key only applies if the instance was created with its key pair, or
    if it was adopted, which succeeds only with the target's key.
    """
    known = record.attributes
    address = known.get("public_address") if settings.public else known.get("private_address")
    has_targets_key = (settings.key_pair and settings.key_pair == known.get("keypair")) or known.get(ADOPTED)
    image_user = str(known.get(USER) or record.connection.user)
    way = replace(
        record.connection,
        hostname=str(address or record.connection.hostname),
        user=settings.user or ("" if settings.ssh_config else image_user),
        key=settings.key if has_targets_key else record.connection.key,
        jump=settings.jump,
        jump_key=settings.jump_key,
        jump_keys=(),
        proxy_command="",
    )
    if settings.ssh_config:
        way = with_ssh_config(way, has_way=bool(settings.proxy_command))
    return with_proxy_command(replace(way, user=way.user or image_user), settings.proxy_command, record.id)


def private_keys(settings: Ec2Settings) -> list[str]:
    """Return the private key files of a target's key pair and jump hosts, for the addresses that it may have."""
    keys = [settings.key, settings.jump_key]
    for address in sample_addresses(private=not settings.public) if settings.ssh_config else ():
        way = Connection(address, key=settings.key, jump=settings.jump, jump_key=settings.jump_key)
        # An error is reported where an instance is reached: none may have an address like this one.
        with suppress(DtkError):
            way = with_ssh_config(way, has_way=bool(settings.proxy_command))
        # A service that has its own key pair also has its own key.
        keys += [*way.jump_keys, way.key if settings.key_pair else ""]
    return list(dict.fromkeys(filter(None, keys)))


def described(record: NodeRecord, instance: Ec2Instance, settings: Ec2Settings, region: str) -> NodeRecord:
    """Return a node's record with the present data of its instance.

    Its ``host_address`` is the private address, by which the service's nodes reach each other inside their security
    group.

    Args:
        record: the earlier record; data that EC2 does not provide is kept.
        instance: its instance.
        settings: its target's settings.
        region: its region.
    """
    data = instance.data
    private = str(data.get("PrivateIpAddress") or "")
    outside = str(data.get("PublicIpAddress") or "")
    type_ = str(data.get("InstanceType", ""))
    # A node that names an instance type and no size has the type as its size.
    named = record.attributes.get("size") == record.attributes.get("instance_type")
    attributes = {
        **record.attributes,
        **({"size": type_} if named else {}),
        **({ADOPTED: True} if is_adopted(instance.tags) else {}),
        "host_address": private,
        "port_offset": 0,
        "shared_address": False,
        "private_address": private,
        "public_address": outside,
        "dns_name": str(data.get("PublicDnsName") or data.get("PrivateDnsName") or private)
        if settings.public
        else private,
        "instance_type": type_,
        "image_id": str(data.get("ImageId", "")),
        REGION: region,
        ACCOUNT: instance.account,
        "availability_zone": str(data.get("Placement", {}).get("AvailabilityZone", "")),
        "subnet": str(data.get("SubnetId", "")),
        "vpc": str(data.get("VpcId", "")),
        "market": "spot" if data.get("InstanceLifecycle") == "spot" else "on-demand",
        "security_groups": security_groups(data),
        "tags": {name: value for name, value in sorted(instance.tags.items()) if name not in NOT_COMPARED},
    }
    now = replace(record, id=instance.id, status=STATUS[instance.state], attributes=attributes)
    return replace(now, connection=connection_to(now, settings))


def security_groups(data: InstanceAnswer) -> list[str]:
    """Return the names of an instance's security groups."""
    groups = list(data.get("SecurityGroups", []))
    for interface in data.get("NetworkInterfaces", []):
        groups += interface.get("Groups", [])
    return list(dict.fromkeys(str(group.get("GroupName") or group["GroupId"]) for group in groups))


def an_address(records: Iterable[NodeRecord]) -> str:
    """Return a private address of one of the nodes, "" if none is known."""
    return next((str(r.attributes["host_address"]) for r in records if r.attributes.get("host_address")), "")

"""Elastic IPs: addresses that stay with a node over stops and replacements, and are released when it goes for good.

An address that dtk allocates carries its service's tags and its node's name, by which a repeated call finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dtk.errors import DtkError
from dtk.model.target import RESERVED
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.elastic_ip_answers import AddressAnswer, AddressesAnswer
from dtk.nodes.ec2.instances import Ec2Instance, wait_for
from dtk.nodes.ec2.problems import NOT_ALLOWED, AwsError
from dtk.nodes.ec2.settings import ELASTIC_IP, MachineSpec
from dtk.nodes.ec2.tags import LINEAGE, NODE, as_list, node_tags, service_tags
from dtk.nodes.provider import ServiceIdentity

_SHOWN_SECONDS = 60.0
"""How long EC2 may take to show an instance with its new address."""


def with_elastic_ip(
    aws: Aws, identity: ServiceIdentity, node: str, instance: Ec2Instance, spec: MachineSpec
) -> tuple[Ec2Instance, dict[str, object]]:
    """Give a running instance its node's elastic IP.

    Returns:
        The instance with its present address, and what the node's record says of it; unchanged without a wish.

    Raises:
        DtkError: there is no such address, another machine has it, or no more may be allocated.
    """
    if not spec.elastic_ip:
        return instance, {}
    given = spec.elastic_ip if spec.elastic_ip != "true" else ""
    address = _given(aws, given) if given else _own(aws, identity, node)
    if address.get("InstanceId") != instance.id:
        aws.call(
            "associate_address",
            AllocationId=address["AllocationId"],
            InstanceId=instance.id,
            AllowReassociation=False,
        )
    shown: list[Ec2Instance | DtkError] = []
    is_shown = lambda one: one.data.get("PublicIpAddress") == address["PublicIp"]  # noqa: E731
    wait_for(aws, {node: instance.id}, is_shown, _SHOWN_SECONDS, lambda _, outcome: shown.append(outcome))
    if isinstance(shown[0], DtkError):
        raise shown[0]
    reserved = [] if given else [f"elastic IP {address['PublicIp']} ({address['AllocationId']})"]
    return shown[0], {ELASTIC_IP: address["AllocationId"], **({RESERVED: reserved} if reserved else {})}


def release_addresses(aws: Aws, identity: ServiceIdentity, nodes: Collection[str] | None) -> Mapping[str, DtkError]:
    """Release the addresses that dtk allocated for nodes of a service, or for all of its nodes.

    Returns:
        The errors by node; the addresses of other nodes are released.

    Raises:
        DtkError: the addresses can't be determined.
    """
    try:
        found = _tagged(aws, identity)
    except AwsError as error:
        # Who may not ask for addresses has none: only nodes that want one need the permission.
        if error.code in NOT_ALLOWED:
            return {}
        raise
    problems: dict[str, DtkError] = {}
    for address in found:
        node = _tag(address, NODE)
        if nodes is not None and node not in nodes:
            continue
        try:
            aws.call("release_address", AllocationId=address["AllocationId"])
        except DtkError as error:
            problems[node] = _not_released(aws, node, address, error)
    return problems


def _not_released(aws: Aws, node: str, address: AddressAnswer, error: DtkError) -> DtkError:
    """Return the error for an address, with the commands that release it."""
    id_, instance, association = address["AllocationId"], address.get("InstanceId"), address.get("AssociationId")
    used = f", which instance {instance} has," if instance else ""
    region = f"--region {aws.region}"
    commands = [f"aws ec2 disassociate-address --association-id {association} {region}"] if association else []
    commands += [f"aws ec2 release-address --allocation-id {id_} {region}", "then repeat the command"]
    message = f"elastic IP {address['PublicIp']} ({id_}) of {node}{used} is not released: {error.message}"
    return DtkError(message, hint="; ".join(commands))


def _given(aws: Aws, allocation: str) -> AddressAnswer:
    return aws.ask("describe_addresses", AddressesAnswer, AllocationIds=[allocation])["Addresses"][0]


def _own(aws: Aws, identity: ServiceIdentity, node: str) -> AddressAnswer:
    """Return a node's own address; allocate it if there is none, and release what a lost answer allocated twice."""
    if not (found := _of_node(aws, identity, node)):
        tags = as_list({**service_tags(identity), **node_tags(identity, node)})
        given = [{"ResourceType": "elastic-ip", "Tags": tags}]
        aws.call("allocate_address", Domain="vpc", TagSpecifications=given)
        found = _of_node(aws, identity, node)
    if not found:
        raise DtkError(f"EC2 does not show the elastic IP that it allocated for {node}", hint="dtk apply --resume")
    first, *others = sorted(found, key=lambda one: (not one.get("InstanceId"), one["AllocationId"]))
    for other in others:
        aws.call("release_address", AllocationId=other["AllocationId"])
    return first


def _of_node(aws: Aws, identity: ServiceIdentity, node: str) -> list[AddressAnswer]:
    return [one for one in _tagged(aws, identity) if _tag(one, NODE) == node]


def _tagged(aws: Aws, identity: ServiceIdentity) -> list[AddressAnswer]:
    filters = [{"Name": f"tag:{LINEAGE}", "Values": [identity.lineage]}]
    return aws.ask("describe_addresses", AddressesAnswer, Filters=filters).get("Addresses", [])


def _tag(address: AddressAnswer, name: str) -> str:
    return next((tag["Value"] for tag in address.get("Tags", []) if tag["Key"] == name), "")

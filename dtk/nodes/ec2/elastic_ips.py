"""Elastic IPs: addresses that stay with a node over stops and replacements, and are released when it goes for good.

An address that dtk allocates carries its service's tags and its node's name, by which a repeated call finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property

from dtk.errors import DtkError
from dtk.model.target import RESERVED
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.elastic_ip_answers import AddressAnswer, AddressesAnswer
from dtk.nodes.ec2.instances import Ec2Instance, wait_for
from dtk.nodes.ec2.problems import NOT_ALLOWED, AwsError
from dtk.nodes.ec2.settings import ELASTIC_IP, MachineSpec
from dtk.nodes.ec2.tags import LINEAGE, NODE, as_list, node_tags, service_tags
from dtk.nodes.provider import Record, ServiceIdentity

ALLOCATED = "true"
"""The wish for an address that dtk allocates."""
_SHOWN_SECONDS = 60.0
"""How long EC2 may take to show an instance with its new address."""


class ElasticIps:
    """The elastic IPs for the nodes of one call that creates machines: AWS is asked once for all of them."""

    def __init__(self, aws: Aws, identity: ServiceIdentity, specs: Iterable[MachineSpec], record: Record) -> None:
        self._aws = aws
        self._identity = identity
        self._ids = list(dict.fromkeys(spec.elastic_ip for spec in specs if spec.elastic_ip not in ("", ALLOCATED)))
        self._record = record
        self._allocated: dict[str, str] = {}

    def give(self, node: str, instance: Ec2Instance, spec: MachineSpec) -> tuple[Ec2Instance, dict[str, object]]:
        """Give a running instance its node's elastic IP.

        Returns:
            The instance with its present address, and what the node's record says of it; unchanged without a wish.

        Raises:
            DtkError: there is no such address, another machine has it, or no more may be allocated.
        """
        if not spec.elastic_ip:
            return instance, {}
        given = spec.elastic_ip if spec.elastic_ip != ALLOCATED else ""
        address = self._given(given) if given else self._own(node)
        reserved = "" if given else f"elastic IP {address['PublicIp']} ({address['AllocationId']})"
        if reserved:
            # Recorded first: if the rest fails, the next plan must know what to release with the node.
            self._record([node], {RESERVED: reserved})
        if address.get("InstanceId") != instance.id:
            allocation = address["AllocationId"]
            self._aws.call(
                "associate_address", AllocationId=allocation, InstanceId=instance.id, AllowReassociation=False
            )
        shown: list[Ec2Instance | DtkError] = []
        is_shown = lambda one: one.data.get("PublicIpAddress") == address["PublicIp"]  # noqa: E731
        wait_for(self._aws, {node: instance.id}, is_shown, _SHOWN_SECONDS, lambda _, outcome: shown.append(outcome))
        if isinstance(shown[0], DtkError):
            raise shown[0]
        return shown[0], {ELASTIC_IP: address["AllocationId"], **({RESERVED: [reserved]} if reserved else {})}

    def release_doubles(self) -> None:
        """Release the addresses that calls allocated whose answers were lost: botocore repeats such a call."""
        for address in _tagged(self._aws, self._identity) if self._allocated else ():
            if self._allocated.get(_tag(address, NODE), address["AllocationId"]) != address["AllocationId"]:
                self._aws.call("release_address", AllocationId=address["AllocationId"])

    @cached_property
    def _found(self) -> Mapping[str, list[AddressAnswer]]:
        return _by_node(_tagged(self._aws, self._identity))

    @cached_property
    def _by_id(self) -> Mapping[str, AddressAnswer]:
        # By filter, not by argument: one unknown id would make the call fail for all others.
        filters = [{"Name": "allocation-id", "Values": self._ids}]
        answer = self._aws.ask("describe_addresses", AddressesAnswer, Filters=filters)
        return {address["AllocationId"]: address for address in answer.get("Addresses", [])}

    def _given(self, allocation: str) -> AddressAnswer:
        if allocation not in self._by_id:
            raise DtkError(
                f"there is no elastic IP {allocation} in {self._aws.region}",
                hint="check elastic_ip, and the region and account of the target (aws ec2 describe-addresses)",
            )
        return self._by_id[allocation]

    def _own(self, node: str) -> AddressAnswer:
        """Return a node's own address; allocate it if there is none."""
        if found := self._found.get(node):
            # A task that ended in between may have left two.
            first, *others = sorted(found, key=lambda one: (not one.get("InstanceId"), one["AllocationId"]))
            for other in others:
                self._aws.call("release_address", AllocationId=other["AllocationId"])
            return first
        tags = as_list({**service_tags(self._identity), **node_tags(self._identity, node)})
        wish = {"Domain": "vpc", "TagSpecifications": [{"ResourceType": "elastic-ip", "Tags": tags}]}
        address = self._aws.request("allocate_address", AddressAnswer, wish)
        self._allocated[node] = address["AllocationId"]
        return address


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


def _by_node(addresses: Iterable[AddressAnswer]) -> dict[str, list[AddressAnswer]]:
    found: dict[str, list[AddressAnswer]] = {}
    for address in addresses:
        found.setdefault(_tag(address, NODE), []).append(address)
    return found


def _tagged(aws: Aws, identity: ServiceIdentity) -> list[AddressAnswer]:
    filters = [{"Name": f"tag:{LINEAGE}", "Values": [identity.lineage]}]
    return aws.ask("describe_addresses", AddressesAnswer, Filters=filters).get("Addresses", [])


def _tag(address: AddressAnswer, name: str) -> str:
    return next((tag["Value"] for tag in address.get("Tags", []) if tag["Key"] == name), "")

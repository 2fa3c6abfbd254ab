"""Where instances stand: subnets, and the security group of a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dtk.errors import InvalidError
from dtk.nodes.ec2.address import own_network
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import LINEAGE, as_list
from dtk.nodes.provider import ServiceIdentity

_SSH = 22
_SHOWN_LINEAGE = 8


@dataclass(frozen=True)
class Subnet:
    """A subnet that instances may stand in."""

    id: str
    vpc: str
    availability_zone: str
    cidr: str


def find_subnets(aws: Aws, settings: Ec2Settings, named: tuple[str, ...]) -> list[Subnet]:
    """Return the subnets that may be used: those named, in their order; else all of the VPC, or of the default one.

    Raises:
        InvalidError: there are none.
    """
    if named:
        found = _describe(aws, "subnet-id", named)
        missing = set(named) - {subnet.id for subnet in found}
        if missing:
            raise InvalidError(f"there are no subnets {', '.join(sorted(missing))} for target '{settings.name}'")
        return sorted(found, key=lambda subnet: named.index(subnet.id))
    found = _describe(aws, "vpc-id", [settings.vpc or _default_vpc(aws, settings)])
    if not found:
        raise InvalidError(f"the VPC of target '{settings.name}' has no subnet", hint="name its subnet in dtk.yaml")
    return sorted(found, key=lambda subnet: (subnet.availability_zone, subnet.id))


def _describe(aws: Aws, name: str, values: Sequence[str]) -> list[Subnet]:
    found = aws.pages("describe_subnets", "Subnets", Filters=[{"Name": name, "Values": list(values)}])
    return [Subnet(s["SubnetId"], s["VpcId"], s["AvailabilityZone"], s["CidrBlock"]) for s in found]


def _default_vpc(aws: Aws, settings: Ec2Settings) -> str:
    found = aws.pages("describe_vpcs", "Vpcs", Filters=[{"Name": "is-default", "Values": ["true"]}])
    if not found:
        hint = "name the target's vpc or subnet in dtk.yaml"
        raise InvalidError(f"the region of target '{settings.name}' has no default VPC", hint=hint)
    return str(found[0]["VpcId"])


def service_group_name(identity: ServiceIdentity) -> str:
    """Return the name of what is made for a service alone: its security group and its key pair."""
    return f"dtk-{identity.service}-{identity.lineage[:_SHOWN_LINEAGE]}"


def ensure_group(
    aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, subnet: Subnet, tags: Mapping[str, str]
) -> str:
    """Return the id of a service's own security group, made when it is missing: SSH from here, all among its nodes."""
    group = find_groups(aws, identity, subnet.vpc)
    id_ = group[0]["GroupId"] if group else _make_group(aws, identity, subnet, tags)
    sources = settings.ssh_from or (own_network(settings, subnet.cidr),)
    _allow(aws, id_, {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id_}]})
    for source in sources:
        _allow(aws, id_, _from_cidr(source, _SSH, "SSH from where dtk runs"))
    return str(id_)


def open_ports(aws: Aws, settings: Ec2Settings, group: str, ports: Iterable[int]) -> None:
    """Open the ports that components declare to the CIDRs that the target names, and to nobody else."""
    for port in sorted(set(ports)):
        for source in settings.open_to:
            _allow(aws, group, _from_cidr(source, port, "declared by a component"))


def find_groups(aws: Aws, identity: ServiceIdentity, vpc: str = "") -> list[dict[str, Any]]:
    """Return the security groups that were made for a service."""
    filters = [{"Name": "group-name", "Values": [service_group_name(identity)]}]
    filters += [{"Name": f"tag:{LINEAGE}", "Values": [identity.lineage]}]
    filters += [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
    return aws.pages("describe_security_groups", "SecurityGroups", Filters=filters)


def _make_group(aws: Aws, identity: ServiceIdentity, subnet: Subnet, tags: Mapping[str, str]) -> str:
    try:
        made = aws.call(
            "create_security_group",
            GroupName=service_group_name(identity),
            Description=f"dtk service {identity.service}",
            VpcId=subnet.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": as_list(tags)}],
        )
        return str(made["GroupId"])
    except AwsError as error:
        # An earlier call whose answer was lost: botocore tried again and met its own work.
        there = find_groups(aws, identity, subnet.vpc) if error.code == "InvalidGroup.Duplicate" else []
        if not there:
            raise
        return str(there[0]["GroupId"])


def _allow(aws: Aws, group: str, permission: Mapping[str, Any]) -> None:
    try:
        aws.call("authorize_security_group_ingress", GroupId=group, IpPermissions=[permission])
    except AwsError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise


def _from_cidr(source: str, port: int, description: str) -> dict[str, Any]:
    ranges = (
        {"Ipv6Ranges": [{"CidrIpv6": source, "Description": description}]}
        if ":" in source
        else {"IpRanges": [{"CidrIp": source, "Description": description}]}
    )
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **ranges}

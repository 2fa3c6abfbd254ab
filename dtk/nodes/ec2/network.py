"""The subnets that instances may stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dtk.errors import InvalidError
from dtk.nodes.ec2.answers import SubnetAnswer, VpcAnswer
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.settings import Ec2Settings


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
            raise InvalidError(
                f"target '{settings.name}' names subnets that do not exist: {', '.join(sorted(missing))}"
            )
        return sorted(found, key=lambda subnet: named.index(subnet.id))
    vpc = settings.vpc or _default_vpc(aws, settings)
    # The default subnets of the default VPC reach the internet; others there may be anything.
    found = [] if settings.vpc else _describe(aws, "vpc-id", [vpc], {"Name": "default-for-az", "Values": ["true"]})
    found = found or _describe(aws, "vpc-id", [vpc])
    if not found:
        raise InvalidError(f"VPC {vpc} of target '{settings.name}' has no subnet", hint="name its subnet in dtk.yaml")
    return sorted(found, key=lambda subnet: (subnet.availability_zone, subnet.id))


def _describe(aws: Aws, name: str, values: Sequence[str], *more: Mapping[str, object]) -> list[Subnet]:
    found = aws.pages(
        "describe_subnets", "Subnets", SubnetAnswer, Filters=[{"Name": name, "Values": list(values)}, *more]
    )
    return [Subnet(s["SubnetId"], s["VpcId"], s["AvailabilityZone"], s["CidrBlock"]) for s in found]


def _default_vpc(aws: Aws, settings: Ec2Settings) -> str:
    found = aws.pages("describe_vpcs", "Vpcs", VpcAnswer, Filters=[{"Name": "is-default", "Values": ["true"]}])
    if not found:
        hint = "name the target's vpc or subnet in dtk.yaml"
        raise InvalidError(f"the region of target '{settings.name}' has no default VPC", hint=hint)
    return str(found[0]["VpcId"])

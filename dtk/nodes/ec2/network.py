"""The subnets that instances may use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dtk.errors import InvalidError
from dtk.nodes.ec2.answers import RouteTable, SubnetAnswer, VpcAnswer
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import NOT_ALLOWED, AwsError
from dtk.nodes.ec2.settings import Ec2Settings

_USUAL_ZONE = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]+[a-z]")
"""``us-east-1a``; Local Zones and Wavelength Zones have longer names (``us-east-1-bos-1a``)."""
_EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Subnet:
    """A subnet that instances may use."""

    id: str
    vpc: str
    availability_zone: str
    cidr: str
    on_outpost: bool = False


def find_subnets(aws: Aws, settings: Ec2Settings, named: tuple[str, ...], zone: str = "") -> list[Subnet]:
    """Return the usable subnets: the named ones, in their order, else all of the VPC or of the default VPC.

    Subnets without IPv4 addresses are left out, as are those of Local Zones and Outposts unless they or their ``zone``
    are named. For targets with public addresses, only subnets with a route to an internet gateway are usable.

    Raises:
        InvalidError: there is no usable subnet.
    """
    found = _named(aws, settings, named) if named else _of_vpc(aws, settings, zone)
    return _reachable(aws, found) if settings.public and not (settings.jump or settings.proxy_command) else found


def _named(aws: Aws, settings: Ec2Settings, named: tuple[str, ...]) -> list[Subnet]:
    found = _describe(aws, "subnet-id", named)
    missing = set(named) - {subnet.id for subnet in found}
    if missing:
        raise InvalidError(f"target '{settings.name}' names subnets that do not exist: {', '.join(sorted(missing))}")
    without = [subnet.id for subnet in found if not subnet.cidr]
    if without:
        raise InvalidError(
            f"target '{settings.name}' names subnets without IPv4 addresses: {', '.join(without)}",
            hint="name subnets that have a range of IPv4 addresses: dtk reaches nodes by IPv4",
        )
    return sorted(found, key=lambda subnet: named.index(subnet.id))


def _of_vpc(aws: Aws, settings: Ec2Settings, zone: str) -> list[Subnet]:
    vpc = settings.vpc or _default_vpc(aws, settings)
    # Default subnets of the default VPC reach the internet; other subnets there may not.
    found = [] if settings.vpc else _describe(aws, "vpc-id", [vpc], {"Name": "default-for-az", "Values": ["true"]})
    found = found or _describe(aws, "vpc-id", [vpc])
    usable = [one for one in found if one.cidr and (one.availability_zone == zone or _is_usual(one))]
    if not usable:
        others = (
            f", only {', '.join(sorted(one.id for one in found))} (IPv6 only, a Local Zone or an Outpost)"
            if found
            else ""
        )
        raise InvalidError(
            f"VPC {vpc} of target '{settings.name}' has no suitable subnet{others}", hint="name its subnet in dtk.yaml"
        )
    return sorted(usable, key=lambda subnet: (subnet.availability_zone, subnet.id))


def _is_usual(subnet: Subnet) -> bool:
    return bool(_USUAL_ZONE.fullmatch(subnet.availability_zone)) and not subnet.on_outpost


def _reachable(aws: Aws, subnets: Sequence[Subnet]) -> list[Subnet]:
    """Return the subnets whose instances can be reached by public addresses.

    Raises:
        InvalidError: there is no such subnet.
    """
    filters = [{"Name": "vpc-id", "Values": sorted({subnet.vpc for subnet in subnets})}]
    try:
        tables = aws.pages("describe_route_tables", "RouteTables", RouteTable, Filters=filters)
    except AwsError as error:
        # An older IAM policy without this permission: go on, since unreachable instances will be noticed later.
        if error.code not in NOT_ALLOWED:
            raise
        return list(subnets)
    found = [subnet for subnet in subnets if _leads_out(_table_of(tables, subnet))]
    if not found:
        raise InvalidError(
            f"no route leads from the internet to {', '.join(subnet.id for subnet in subnets)}: instances there"
            " can't be reached by public addresses",
            hint="set addresses: private in dtk.yaml (if dtk runs outside that network, with jump: or proxy_command:)"
            "; or name a subnet whose route table has an internet gateway",
        )
    return found


def _table_of(tables: Iterable[RouteTable], subnet: Subnet) -> RouteTable:
    """Return the route table of a subnet: its own, or else the main one of its VPC."""
    main: RouteTable = {}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("SubnetId") == subnet.id:
                return table
            if association.get("Main") and table.get("VpcId") == subnet.vpc:
                main = table
    return main


def _leads_out(table: RouteTable) -> bool:
    routes = [route for route in table.get("Routes", []) if route.get("State") != "blackhole"]
    # A firewall endpoint may precede the gateway. The endpoint of S3 has a route, too, but not to 0.0.0.0/0.
    return any(
        route.get("GatewayId", "").startswith("igw-")
        or (route.get("GatewayId", "").startswith("vpce-") and route.get("DestinationCidrBlock") == _EVERYWHERE)
        for route in routes
    )


def _describe(aws: Aws, name: str, values: Sequence[str], *more: Mapping[str, object]) -> list[Subnet]:
    found = aws.pages(
        "describe_subnets", "Subnets", SubnetAnswer, Filters=[{"Name": name, "Values": list(values)}, *more]
    )
    return [
        Subnet(s["SubnetId"], s["VpcId"], s["AvailabilityZone"], s.get("CidrBlock", ""), bool(s.get("OutpostArn")))
        for s in found
    ]


def _default_vpc(aws: Aws, settings: Ec2Settings) -> str:
    found = aws.pages("describe_vpcs", "Vpcs", VpcAnswer, Filters=[{"Name": "is-default", "Values": ["true"]}])
    if not found:
        hint = "name the target's vpc or subnet in dtk.yaml"
        raise InvalidError(f"the region of target '{settings.name}' has no default VPC", hint=hint)
    return str(found[0]["VpcId"])

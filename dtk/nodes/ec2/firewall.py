"""The security group of a service: SSH from this machine, traffic between its nodes, declared ports for ``open_to``.

dtk recognizes its own rules by their description and removes only these: rules that people add to the group stay.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping

from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.ec2.address import own_network
from dtk.nodes.ec2.answers import Permission, SecurityGroup
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.network import Subnet
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.ec2.tags import LINEAGE, as_list, service_name
from dtk.nodes.provider import FirewallUpdate, OpenPort, ServiceIdentity

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DescribedRule = tuple[OpenPort, str]
PORT_RULE = "declared by a component"
JUST_MADE = ("InvalidGroup.NotFound",)
"""Error codes that EC2 may return for some seconds about a new group."""


def ensure_group(aws: Aws, identity: ServiceIdentity, subnet: Subnet, tags: Mapping[str, str]) -> SecurityGroup:
    """Return a service's own security group; create it if it is missing, and allow traffic between its nodes."""
    found = find_groups(aws, identity, subnet.vpc)
    group = found[0] if found else _make_group(aws, identity, subnet, tags)
    _allow_among(aws, group)
    return group


def sources_without_ssh(settings: Ec2Settings, group: SecurityGroup, towards: str) -> tuple[str, ...]:
    """Return the address ranges from which SSH should be allowed but is not; raises the same as ``allow_ssh``."""
    if settings.is_reached_from_inside:
        return ()
    sources = settings.ssh_from or (own_network(settings, towards),)
    allowed = [ipaddress.ip_network(rule.source) for rule in rules_of(group) if rule.port == SSH_PORT]
    return tuple(source for source in sources if not any(_holds(one, source) for one in allowed))


def _holds(network: Network, source: str) -> bool:
    found = ipaddress.ip_network(source)
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(found, ipaddress.IPv4Network) and network.supernet_of(found)
    return isinstance(found, ipaddress.IPv6Network) and network.supernet_of(found)


def open_ports(aws: Aws, group: SecurityGroup, ports: Iterable[OpenPort]) -> None:
    """Open ports in addition to those that are open."""
    missing = set(ports) - rules_of(group)
    if missing:
        _authorize(aws, group["GroupId"], [_permission((rule, PORT_RULE)) for rule in sorted(missing)])


def reconcile(aws: Aws, group: SecurityGroup, desired: Iterable[OpenPort], description: str) -> FirewallUpdate:
    """Make a group's rules with this description match the desired ones; a rule by people counts as well, and stays."""
    stale = rules_of(group, description) - set(desired)
    missing = set(desired) - rules_of(group)
    change_rules(aws, group, [(rule, description) for rule in stale], [(rule, description) for rule in missing])
    return FirewallUpdate(tuple(sorted(missing)), tuple(sorted(stale)))


def change_rules(
    aws: Aws, group: SecurityGroup, stale: Iterable[DescribedRule], missing: Iterable[DescribedRule]
) -> None:
    """Remove rules from a group, then add others; each is identified by port, range and description."""
    gone, new = list(map(_permission, sorted(stale))), list(map(_permission, sorted(missing)))
    # Remove stale rules first: a group has room for 60 rules.
    if gone:
        _revoke(aws, group["GroupId"], gone)
    if new:
        _authorize(aws, group["GroupId"], new)


def find_groups(aws: Aws, identity: ServiceIdentity, vpc: str = "") -> list[SecurityGroup]:
    """Return the security groups of a service."""
    filters = [{"Name": "group-name", "Values": [service_name(identity)]}]
    filters += [{"Name": f"tag:{LINEAGE}", "Values": [identity.lineage]}]
    filters += [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
    return aws.pages("describe_security_groups", "SecurityGroups", SecurityGroup, Filters=filters)


def rules_of(group: SecurityGroup, description: str = "") -> set[OpenPort]:
    """Return a group's rules for single TCP ports; with a description, only those that have it."""
    return {port for port, its_own in described_rules(group) if description in ("", its_own)}


def described_rules(group: SecurityGroup) -> Iterator[DescribedRule]:
    """Yield a group's rules for single TCP ports, each with its description."""
    for permission in group.get("IpPermissions", []):
        port = permission.get("FromPort")
        if permission.get("IpProtocol") != "tcp" or port is None or port != permission.get("ToPort"):
            continue
        ranges = [(r["CidrIp"], r.get("Description", "")) for r in permission.get("IpRanges", [])]
        ranges += [(r["CidrIpv6"], r.get("Description", "")) for r in permission.get("Ipv6Ranges", [])]
        yield from ((OpenPort(port, source), description) for source, description in ranges)


def _make_group(aws: Aws, identity: ServiceIdentity, subnet: Subnet, tags: Mapping[str, str]) -> SecurityGroup:
    try:
        return aws.ask(
            "create_security_group",
            SecurityGroup,
            GroupName=service_name(identity),
            Description=f"dtk service {identity.service}",
            VpcId=subnet.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": as_list(tags)}],
        )
    except AwsError as error:
        # An earlier attempt succeeded, but its answer was lost; botocore's retry then found the group.
        found = find_groups(aws, identity, subnet.vpc) if error.code == "InvalidGroup.Duplicate" else []
        if not found:
            raise
        return found[0]


def _allow_among(aws: Aws, group: SecurityGroup) -> None:
    id_ = group["GroupId"]
    pairs = [pair for rule in group.get("IpPermissions", []) for pair in rule.get("UserIdGroupPairs", [])]
    if id_ not in [pair.get("GroupId") for pair in pairs]:
        _authorize(aws, id_, [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": id_}]}])


def _permission(described: DescribedRule) -> Permission:
    rule, description = described
    permission: Permission = {"IpProtocol": "tcp", "FromPort": rule.port, "ToPort": rule.port}
    if ":" in rule.source:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule.source, "Description": description}]
    else:
        permission["IpRanges"] = [{"CidrIp": rule.source, "Description": description}]
    return permission


def _authorize(aws: Aws, group: str, permissions: list[Permission]) -> None:
    def call(some: list[Permission]) -> None:
        aws.call("authorize_security_group_ingress", settling=JUST_MADE, GroupId=group, IpPermissions=some)

    _all_or_each(call, permissions, "InvalidPermission.Duplicate")


def _revoke(aws: Aws, group: str, permissions: list[Permission]) -> None:
    def call(some: list[Permission]) -> None:
        aws.call("revoke_security_group_ingress", GroupId=group, IpPermissions=some)

    _all_or_each(call, permissions, "InvalidPermission.NotFound")


def _all_or_each(call: Callable[[list[Permission]], None], permissions: list[Permission], done_already: str) -> None:
    """Call for all rules; if EC2 refuses because one was changed before (a lost answer), call for each rule."""
    try:
        call(permissions)
    except AwsError as error:
        if error.code != done_already:
            raise
        for permission in permissions if len(permissions) > 1 else ():
            _all_or_each(call, [permission], done_already)

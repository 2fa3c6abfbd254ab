"""Removes a service's own AWS resources, its security group and its key pair, after its last instance."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from dtk.errors import DtkError
from dtk.nodes.ec2.access import remove_access
from dtk.nodes.ec2.answers import SecurityGroup
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.firewall import find_groups
from dtk.nodes.ec2.made import find_of_service
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.provider import ServiceIdentity

PATIENCE_SECONDS = 900.0
"""How long a group may stay in use after the last instance: network interfaces and other groups' rules take minutes."""
PAUSE_SECONDS = 3.0
_LONGEST_PAUSE_SECONDS = 15.0


def remove_own_resources(
    aws: Aws, settings: Ec2Settings, identity: ServiceIdentity, goes_on: Callable[[], bool]
) -> None:
    """Remove a service's own security group and key pair unless it still has an instance.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        identity: the service.
        goes_on: returns whether to keep waiting for a group that is in use.

    Raises:
        AwsError: the group is still in use after a quarter of an hour, or AWS refuses.
    """
    if find_of_service(aws, identity.lineage):
        return
    for group in find_groups(aws, identity):
        _delete_group(aws, group["GroupId"], goes_on)
    if not settings.key_pair:
        remove_access(aws, identity)


def _still_used(aws: Aws, group: str, error: AwsError) -> AwsError:
    """Return the error for a security group that something other than the service's instances uses."""
    filters = [{"Name": "ip-permission.group-id", "Values": [group]}]
    with suppress(DtkError):
        found = aws.pages("describe_security_groups", "SecurityGroups", SecurityGroup, Filters=filters)
        others = sorted(str(other["GroupId"]) for other in found if other["GroupId"] != group)
        by = (
            f"rules of {', '.join(others)} refer to it"
            if others
            else "another machine, load balancer or interface uses it"
        )
        return AwsError(
            f"the instances are terminated, but the service's security group {group} can't be deleted: {by}",
            code=error.code,
            hint="remove the group there (EC2, Network interfaces and Security groups), then repeat the command",
        )
    return error


def _delete_group(aws: Aws, group: str, goes_on: Callable[[], bool]) -> None:
    until, pause = time.monotonic() + PATIENCE_SECONDS, PAUSE_SECONDS
    while True:
        try:
            aws.call("delete_security_group", GroupId=group)
            return
        except AwsError as error:
            if error.code == "InvalidGroup.NotFound":
                return
            # The network interface of an instance remains for some seconds after it.
            if error.code != "DependencyViolation":
                raise
            if time.monotonic() > until or not goes_on():
                raise _still_used(aws, group, error) from None
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

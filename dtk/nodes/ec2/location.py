"""Region and account of nodes. In a wrong one, AWS would report instances as gone while they continue to run."""

from __future__ import annotations

from collections.abc import Iterable

from dtk.errors import InvalidError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.provider import NodeRecord, ServiceIdentity

REGION, ACCOUNT = "region", "account"
"""The node attributes with an instance's location."""


def check_location(aws: Aws, target: str, identity: ServiceIdentity, records: Iterable[NodeRecord]) -> None:
    """Refuse nodes in a region or account other than the present one.

    Args:
        aws: the AWS services of the present region and account.
        target: the target's name in dtk.yaml.
        identity: the service of the nodes.
        records: the nodes; those without these attributes are not checked.

    Raises:
        InvalidError: the location differs; the message names both locations and what to do.
    """
    known = list(records)
    regions = {str(record.attributes[REGION]) for record in known if record.attributes.get(REGION)}
    accounts = {str(record.attributes[ACCOUNT]) for record in known if record.attributes.get(ACCOUNT)}
    if regions - {aws.region}:
        raise InvalidError(
            f"the nodes of service '{identity.service}' are in region {_listed(regions)},"
            f" and target '{target}' is in region {aws.region} now",
            hint=f"restore the target's region (region: {_listed(regions)}) in dtk.yaml or AWS_REGION;"
            f" to move the service, destroy it there first: dtk delete-and-destroy {identity.service}",
        )
    if accounts and aws.account and accounts - {aws.account}:
        raise InvalidError(
            f"the nodes of service '{identity.service}' are in AWS account {_listed(accounts)},"
            f" but the credentials of target '{target}' belong to account {aws.account}",
            hint="use the profile that they were created with: the target's profile in dtk.yaml, or AWS_PROFILE",
        )


def check_missing(aws: Aws, records: Iterable[NodeRecord]) -> None:
    """Refuse to treat unknown instances as gone while the account can't be determined and may be another one.

    Raises:
        InvalidError: names one of them, and what to do.
    """
    missing = next((record for record in records if record.attributes.get(ACCOUNT)), None)
    if missing is not None and not aws.account:
        raise InvalidError(
            f"instance {missing.id} of node '{missing.node}' was not found. It was created in AWS account"
            f" {missing.attributes[ACCOUNT]}; the account of the current credentials could not be determined",
            hint="check that AWS STS can be reached from here: a private network needs an endpoint for it",
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

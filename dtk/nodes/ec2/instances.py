"""Instances as EC2 describes them: finds them by id or by tags, waits for states, and converts them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dtk.errors import DtkError
from dtk.nodes.ec2.answers import InstanceAnswer, Reservation
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import BAD_CREDENTIALS, NOT_ALLOWED, AwsError
from dtk.nodes.ec2.tags import TOKEN, node_of
from dtk.nodes.provider import NodeStatus

STATUS: Mapping[str, NodeStatus] = {
    "pending": "pending",
    "running": "running",
    "stopping": "stopped",
    "stopped": "stopped",
    "shutting-down": "terminated",
    "terminated": "terminated",
}
GONE = ("shutting-down", "terminated")
MOST_IDS = 200
"""Ids per describe call: well below AWS's limit."""
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 8.0
_ID = re.compile(r"i-[0-9a-f]+")


@dataclass(frozen=True)
class Ec2Instance:
    """An instance in its present state; ``node`` comes from its tags, "" if they name none."""

    id: str
    state: str
    node: str
    tags: Mapping[str, str]
    data: InstanceAnswer
    account: str = ""

    @property
    def exists(self) -> bool:
        """Whether it still exists and costs money."""
        return self.state not in GONE

    @property
    def reason(self) -> str:
        """The reason for its state, in AWS's words."""
        message = self.data.get("StateReason", {}).get("Message")
        return message or self.data.get("StateTransitionReason") or "AWS gives no reason"


def start_error(instance: Ec2Instance) -> DtkError:
    """Return the error for an instance that ended or stopped while it started, with a hint about KMS keys of disks."""
    hint = "see its system log in EC2 (Actions, Monitor and troubleshoot), then apply again"
    if instance.data.get("StateReason", {}).get("Code") == "Client.InternalError":
        hint = (
            "its disks may be encrypted with a KMS key that these credentials may not use:"
            " allow kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext on it (see docs/ec2.md)"
        )
    what = "stopped again after it was started" if instance.exists else "ended while it started"
    return DtkError(f"instance {instance.id} {what}: {instance.reason}", hint=hint)


def find_by_tags(aws: Aws, **tags: str) -> list[Ec2Instance]:
    """Return the existing instances with these tags (``dtk:lineage`` and so on), oldest first."""
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]
    states = {"Name": "instance-state-name", "Values": [state for state in STATUS if state not in GONE]}
    conditions = [*filters, states]
    reservations = aws.pages("describe_instances", "Reservations", Reservation, Filters=conditions)
    found = [instance for instance in _instances(reservations) if instance.exists]
    return sorted(found, key=lambda instance: str(instance.data.get("LaunchTime", "")))


def find_by_ids(aws: Aws, ids: Iterable[str]) -> dict[str, Ec2Instance]:
    """Return instances by id, in any state; those that AWS does not know (any more) are missing."""
    unique = [id_ for id_ in dict.fromkeys(ids) if id_]
    found: dict[str, Ec2Instance] = {}
    for start in range(0, len(unique), MOST_IDS):
        filters = [{"Name": "instance-id", "Values": unique[start : start + MOST_IDS]}]
        # By filter, not by argument: one unknown id would make the call fail for all others.
        reservations = aws.pages("describe_instances", "Reservations", Reservation, Filters=filters)
        found |= {instance.id: instance for instance in _instances(reservations)}
    return found


def find_by_token(aws: Aws, token: str) -> list[Ec2Instance]:
    """Return the instances created by the call with this client token, in any state."""
    filters = [{"Name": f"tag:{TOKEN}", "Values": [token]}]
    return _instances(aws.pages("describe_instances", "Reservations", Reservation, Filters=filters))


def _instances(reservations: Iterable[Reservation]) -> list[Ec2Instance]:
    return [
        to_instance(data, reservation.get("OwnerId", ""))
        for reservation in reservations
        for data in reservation.get("Instances", [])
    ]


def to_instance(data: InstanceAnswer, account: str) -> Ec2Instance:
    """Return an instance from its description and the account that owns it."""
    tags = {tag["Key"]: tag["Value"] for tag in data.get("Tags", [])}
    node = node_of(tags, data.get("AmiLaunchIndex", 0))
    return Ec2Instance(data["InstanceId"], data["State"]["Name"], node, tags, data, account)


OnOutcome = Callable[[str, Ec2Instance | DtkError], None]
"""Called once per node: with the instance in the desired state, or with the reason why it will not reach it."""


def wait_for(
    aws: Aws, ids: Mapping[str, str], ready: Callable[[Ec2Instance], bool], timeout: float, on_outcome: OnOutcome
) -> None:
    """Wait until instances are in the desired state; query all of them in one call, with growing pauses.

    Args:
        aws: the AWS services.
        ids: node → instance id.
        ready: returns whether an instance is in the desired state; raises ``DtkError`` if it never will be.
        timeout: time limit for all of them, in seconds.
        on_outcome: called for each node as soon as its outcome is known.
    """
    waiting = dict(ids)
    deadline, pause = time.monotonic() + timeout, _FIRST_PAUSE_SECONDS
    seen: dict[str, Ec2Instance] = {}
    while waiting:
        # A new instance may be unknown to EC2 for some seconds: query it again.
        seen |= find_by_ids(aws, waiting.values())
        for node, id_ in list(waiting.items()):
            outcome = _outcome(seen.get(id_), ready)
            if outcome is not None:
                del waiting[node]
                on_outcome(node, outcome)
        if waiting and time.monotonic() > deadline:
            break
        if waiting:
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
    for node, id_ in waiting.items():
        state = seen[id_].state if id_ in seen else "not visible"
        on_outcome(node, DtkError(f"instance {id_} is still {state} after {timeout:g} s"))


def _outcome(instance: Ec2Instance | None, ready: Callable[[Ec2Instance], bool]) -> Ec2Instance | DtkError | None:
    if instance is None:
        return None
    try:
        return instance if ready(instance) else None
    except DtkError as error:
        return error


def on_each(ids: Sequence[str], call: Callable[[list[str]], object]) -> dict[str, AwsError]:
    """Call an operation on several instances; a refusal for one of them does not affect the others.

    EC2 refuses the whole call and may name the instance. If it does not, the call is split in two.

    Args:
        ids: the instances.
        call: makes the call for some of them.

    Returns:
        The refusals by instance; instances that AWS no longer knows are left out.

    Raises:
        AwsError: the call was refused for a reason other than its instances.
    """
    failed: dict[str, AwsError] = {}
    left = list(ids)
    while left:
        try:
            call(left)
            break
        except AwsError as error:
            if error.in_doubt or error.code in BAD_CREDENTIALS | NOT_ALLOWED:
                raise
            named = set(_ID.findall(error.message)) & set(left)
            named = named or (set(left) if len(left) == 1 else set())
            if not named:
                half = len(left) // 2
                return failed | on_each(left[:half], call) | on_each(left[half:], call)
            failed |= {} if error.code == "InvalidInstanceID.NotFound" else dict.fromkeys(named, error)
            left = [id_ for id_ in left if id_ not in named]
    return failed

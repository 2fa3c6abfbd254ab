"""Instances as EC2 describes them: found by id or by tags, awaited, turned into records of nodes."""

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
"""Ids in one call of describe: well below what AWS takes."""
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 8.0
_ID = re.compile(r"i-[0-9a-f]+")


@dataclass(frozen=True)
class Ec2Instance:
    """An instance as it is now; ``node`` is what its tags say, "" for one that is not tagged so."""

    id: str
    state: str
    node: str
    tags: Mapping[str, str]
    data: InstanceAnswer
    account: str = ""

    @property
    def exists(self) -> bool:
        """Whether it is there still, and paid for."""
        return self.state not in GONE

    @property
    def reason(self) -> str:
        """Why it is in its state, in AWS's words."""
        message = self.data.get("StateReason", {}).get("Message")
        return message or self.data.get("StateTransitionReason") or "AWS gives no reason"


def start_error(instance: Ec2Instance) -> DtkError:
    """Return why an instance that was to run has ended or is off again, with what AWS does not say of disks' keys."""
    hint = "see its system log in EC2 (Actions, Monitor and troubleshoot), then apply again"
    if instance.data.get("StateReason", {}).get("Code") == "Client.InternalError":
        hint = (
            "its disks may be encrypted with a KMS key that these credentials may not use:"
            " allow kms:CreateGrant, kms:Decrypt and kms:GenerateDataKeyWithoutPlaintext on it; docs/ec2.md has them"
        )
    what = "stopped again after it was started" if instance.exists else "ended while it started"
    return DtkError(f"instance {instance.id} {what}: {instance.reason}", hint=hint)


def find_by_tags(aws: Aws, **tags: str) -> list[Ec2Instance]:
    """Return the instances with these tags (``dtk:lineage`` and so on), those that are gone left out, oldest first."""
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in tags.items()]
    states = {"Name": "instance-state-name", "Values": [state for state in STATUS if state not in GONE]}
    conditions = [*filters, states]
    reservations = aws.pages("describe_instances", "Reservations", Reservation, Filters=conditions)
    found = [instance for instance in _instances(reservations) if instance.exists]
    return sorted(found, key=lambda instance: str(instance.data.get("LaunchTime", "")))


def find_by_ids(aws: Aws, ids: Iterable[str]) -> dict[str, Ec2Instance]:
    """Return instances by id, of all states; one that AWS does not know, or no longer, is missing."""
    unique = [id_ for id_ in dict.fromkeys(ids) if id_]
    found: dict[str, Ec2Instance] = {}
    for start in range(0, len(unique), MOST_IDS):
        filters = [{"Name": "instance-id", "Values": unique[start : start + MOST_IDS]}]
        # By filter, not by argument: one unknown id would hide all the others.
        reservations = aws.pages("describe_instances", "Reservations", Reservation, Filters=filters)
        found |= {instance.id: instance for instance in _instances(reservations)}
    return found


def find_by_token(aws: Aws, token: str) -> list[Ec2Instance]:
    """Return the instances that a call with this client token made, of all states."""
    filters = [{"Name": f"tag:{TOKEN}", "Values": [token]}]
    return _instances(aws.pages("describe_instances", "Reservations", Reservation, Filters=filters))


def _instances(reservations: Iterable[Reservation]) -> list[Ec2Instance]:
    return [
        to_instance(data, reservation.get("OwnerId", ""))
        for reservation in reservations
        for data in reservation.get("Instances", [])
    ]


def to_instance(data: InstanceAnswer, account: str) -> Ec2Instance:
    """Return an instance from its description and the account that it belongs to."""
    tags = {tag["Key"]: tag["Value"] for tag in data.get("Tags", [])}
    node = node_of(tags, data.get("AmiLaunchIndex", 0))
    return Ec2Instance(data["InstanceId"], data["State"]["Name"], node, tags, data, account)


OnOutcome = Callable[[str, Ec2Instance | DtkError], None]
"""Called once per node: the instance in the state that was waited for, or why it will not get there."""


def wait_for(
    aws: Aws, ids: Mapping[str, str], ready: Callable[[Ec2Instance], bool], timeout: float, on_outcome: OnOutcome
) -> None:
    """Wait until instances are as wanted, asking for all of them at once with growing pauses.

    Args:
        aws: where they are.
        ids: node → instance id.
        ready: says whether an instance is as wanted; raises ``DtkError`` when it never will be.
        timeout: seconds for all of them.
        on_outcome: called for each, as soon as it is known.
    """
    waiting = dict(ids)
    deadline, pause = time.monotonic() + timeout, _FIRST_PAUSE_SECONDS
    seen: dict[str, Ec2Instance] = {}
    while waiting:
        # One that was made just now may be unknown for some seconds: it is asked for again.
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
        state = seen[id_].state if id_ in seen else "not to be seen"
        on_outcome(node, DtkError(f"instance {id_} is still {state} after {timeout:g} s"))


def _outcome(instance: Ec2Instance | None, ready: Callable[[Ec2Instance], bool]) -> Ec2Instance | DtkError | None:
    if instance is None:
        return None
    try:
        return instance if ready(instance) else None
    except DtkError as error:
        return error


def on_each(ids: Sequence[str], call: Callable[[list[str]], object]) -> dict[str, AwsError]:
    """Call an operation on instances at once; one that it is refused for keeps none of the others from it.

    EC2 refuses the whole call and names the instance, or does not say which it is: then the call is cut in two.

    Args:
        ids: the instances.
        call: makes the call for some of them.

    Returns:
        Why it was refused, by instance; those that AWS no longer knows are left out.

    Raises:
        AwsError: it was refused for a reason that is none of the instances'.
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

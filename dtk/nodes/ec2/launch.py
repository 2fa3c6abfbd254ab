"""Creates instances: one call for all equal nodes, other subnets or types without capacity, never two per node.

Every call has a client token derived from the task, the nodes and the requested placement. Token and nodes are on disk
before the call is made, and the tags in the call tie each instance to its node. So even if the answer is lost or this
process dies, the instance is found again (dtk.nodes.ec2.unanswered).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dtk.errors import DtkError
from dtk.nodes.ec2.answers import Reservation
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import Call, LaunchContext, MachineRequest, Placement, run_arguments
from dtk.nodes.ec2.instances import Ec2Instance, to_instance
from dtk.nodes.ec2.made import assigned, find_made, note_nodes
from dtk.nodes.ec2.problems import NO_CAPACITY, NO_SPOT_ROLE, AwsError
from dtk.nodes.ec2.tags import LONGEST_VALUE, ORIGIN, nodes_text
from dtk.nodes.mark_errors import rival_error
from dtk.nodes.provider import Record, ServiceIdentity

MOST_AT_ONCE = 100
"""Maximum number of nodes per call."""
MOST_TOKENS = 5
ENDED, MISMATCH = "IdempotentInstanceTerminated", "IdempotentParameterMismatch"
"""An earlier call used this token: its instances have ended, or it had other parameters."""


@dataclass
class Outcome:
    """The outcome of a batch: the instance of each node that has one, and the errors of the others."""

    made: dict[str, Ec2Instance]
    failed: dict[str, DtkError]


def launch(aws: Aws, context: LaunchContext, machine: MachineRequest, nodes: Sequence[str], record: Record) -> Outcome:
    """Create the instances of equal nodes.

    Args:
        aws: the AWS services.
        context: what they have in common with the service's other instances.
        machine: the request of each of them.
        nodes: the nodes.
        record: called with the nodes and the call before each call.

    Returns:
        The outcome of each node. A lost answer counts as a failure here; the recorded call recovers it.
    """
    outcome = Outcome({}, {})
    for batch in batches(nodes):
        _launch_batch(aws, context, machine, batch, record, outcome)
    return outcome


def batches(nodes: Sequence[str]) -> Iterator[list[str]]:
    """Split nodes into batches for calls, limited by the length of a tag and the size of a call."""
    batch: list[str] = []
    for node in nodes:
        if batch and (len(batch) == MOST_AT_ONCE or len(nodes_text([*batch, node])) > LONGEST_VALUE):
            yield batch
            batch = []
        batch.append(node)
    if batch:
        yield batch


def _launch_batch(
    aws: Aws, context: LaunchContext, machine: MachineRequest, nodes: list[str], record: Record, outcome: Outcome
) -> None:
    waiting = nodes
    reason = DtkError(f"no subnet of target '{context.settings.name}' meets the requirements of {nodes_text(nodes)}")
    for placement in placements(machine):
        try:
            # Each call creates as many instances as there is capacity for; repeat until EC2 refuses with a reason.
            while waiting:
                made = _launch_at(aws, context, machine, placement, waiting, record)
                outcome.made |= made
                waiting = [node for node in waiting if node not in made]
            return
        except AwsError as error:
            if not error.in_doubt:
                record(waiting, {})
            reason = error
            if error.code == NO_SPOT_ROLE and placement.spot:
                record = noting(record, {"spot_refused": f"{error.message}; {error.hint}"})
            elif error.code not in NO_CAPACITY:
                break
        except DtkError as error:
            reason = error
            break
    outcome.failed |= dict.fromkeys(waiting, reason)


def noting(record: Record, note: Mapping[str, str]) -> Record:
    """Return a ``record`` that adds a note to each call, for the event log: why the placement is another one."""
    return lambda nodes, known: record(nodes, {**known, **note} if known else known)


def _launch_at(
    aws: Aws,
    context: LaunchContext,
    machine: MachineRequest,
    placement: Placement,
    nodes: Sequence[str],
    record: Record,
) -> dict[str, Ec2Instance]:
    """Request instances in one placement; if an earlier call used up the token, try the next one."""
    for attempt in range(MOST_TOKENS):
        call = Call(
            client_token(context.identity, nodes, placement, attempt), nodes, placement, machine.image.id, time.time()
        )
        record(nodes, {**call.recorded(), **context.location})
        try:
            made = run_call(aws, context, machine, call)
        except AwsError as error:
            if error.code not in (ENDED, MISMATCH):
                raise
            # Another call with other parameters used this token: the instances that it created serve its nodes.
            made = find_made(aws, call.token, call.at) if error.code == MISMATCH else {}
            refuse_rivals(context.identity, made.values())
        if made:
            return made
    raise DtkError(f"EC2 returned only terminated instances for {nodes_text(nodes)}", hint="apply again")


def run_call(aws: Aws, context: LaunchContext, machine: MachineRequest, call: Call) -> dict[str, Ec2Instance]:
    """Make a call; return the existing instances of its answer, by node."""
    settling = [] if context.settings.security_groups else ["InvalidGroup.NotFound"]
    settling += [] if context.settings.key_pair else ["InvalidKeyPair.NotFound"]
    answer = aws.request("run_instances", Reservation, run_arguments(context, machine, call), settling=settling)
    given = [to_instance(data, answer.get("OwnerId", "")) for data in answer["Instances"]]
    instances = assigned(given)
    note_nodes(aws, given, instances)
    return {instance.node: instance for instance in instances if instance.exists}


def refuse_rivals(identity: ServiceIdentity, instances: Iterable[Ec2Instance]) -> None:
    """Refuse instances that another clone creates for the service, or has created in the meantime.

    Raises:
        DtkError: there is such an instance; the message names it.
    """
    for instance in instances:
        if identity.is_rival(instance.tags.get(ORIGIN, "")):
            since = instance.data.get("LaunchTime")
            made = f", created {since.isoformat(timespec='seconds')}" if isinstance(since, datetime) else ""
            raise rival_error(identity.service, f"{instance.node} is instance {instance.id}{made}")


def placements(machine: MachineRequest) -> list[Placement]:
    """Return the placements to try, in order: spot first if requested, each type in every subnet, then on demand."""
    zone, spec = machine.spec.availability_zone, machine.spec
    allowed = [subnet for subnet in machine.subnets if zone in ("", subnet.availability_zone)]
    markets = (True, False) if spec.spot else (False,)
    return [
        Placement(type_, subnet.id, spot)
        for spot in markets
        for type_ in spec.instance_types
        for subnet in allowed
        if machine.offered is None or (type_, subnet.availability_zone) in machine.offered
    ]


def client_token(identity: ServiceIdentity, nodes: Sequence[str], placement: Placement, attempt: int = 0) -> str:
    """Return the token of one call: the same for the same task, nodes, placement and attempt; at most 64 characters."""
    again = [str(attempt)] if attempt else []
    where = [placement.instance_type, placement.subnet, "spot" if placement.spot else "on-demand"]
    text = "\n".join([identity.lineage, str(identity.task), nodes_text(nodes), *where, *again])
    return f"dtk-{hashlib.sha256(text.encode()).hexdigest()[:48]}"

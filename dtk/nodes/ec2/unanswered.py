"""Settles calls without an answer before anything else is created: repeats them, or looks for their instances.

For a token that it knows, EC2 returns the instances of the first call; otherwise it creates them. So it is safe to
repeat a call as long as all of its nodes are still wanted. If they are not, dtk looks for the call's instances until
they would have become visible.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from dtk.model.target import Attributes
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import Call, LaunchContext, MachineRequest
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids
from dtk.nodes.ec2.launch import ENDED, MISMATCH, run_call
from dtk.nodes.ec2.made import find_made
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError


def repeat_call(
    aws: Aws, context: LaunchContext, machine: MachineRequest, call: Call, nodes: Collection[str]
) -> dict[str, Ec2Instance]:
    """Settle a call without an answer.

    Args:
        aws: the AWS services.
        context: what the service's instances have in common.
        machine: the present request of the call's nodes.
        call: the recorded call.
        nodes: the nodes to create; if the call has others, it is not repeated.

    Returns:
        The existing instances that it created, by node; it is certain that it created none for the other nodes.

    Raises:
        AwsError, AwsUnreachableError: the outcome is still unknown.
    """
    if not set(call.nodes) <= set(nodes):
        return find_made(aws, call.token, call.at)
    try:
        made = run_call(aws, context, replace(machine, image=replace(machine.image, id=call.image)), call)
    except AwsError as error:
        if error.code == ENDED or error.code in NO_CAPACITY:
            return {}
        if error.code == MISMATCH:
            # EC2 knows the token, and the nodes' requests have changed since.
            return find_made(aws, call.token, call.at)
        raise
    now = find_by_ids(aws, [instance.id for instance in made.values()])
    return {node: one for node, one in made.items() if now.get(one.id, one).exists}


def calls_of(known: Mapping[str, Attributes]) -> list[Call]:
    """Return the recorded calls of nodes that were not answered, without duplicates."""
    calls = (Call.of(attributes) for attributes in known.values())
    return list({call.token: call for call in calls if call}.values())

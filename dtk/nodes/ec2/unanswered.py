"""Calls that no answer came to: asked again with their own token, or looked for, before anything else is made.

EC2 answers a token that it has taken with the instances of its first call, and makes them if it has not. So asking
again is safe as long as all nodes of the call are still wanted. Otherwise its instances are looked for until they
would have come into sight.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from dtk.model.target import Attributes
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids, find_by_token
from dtk.nodes.ec2.launch import ENDED, MISMATCH, Call, LaunchContext, MachineRequest, run_call
from dtk.nodes.ec2.problems import NO_CAPACITY, AwsError

SETTLED_SECONDS = 300.0
"""After these what DescribeInstances shows is the truth about a call."""
_PAUSE_SECONDS = 2.0


def repeat_call(
    aws: Aws, context: LaunchContext, machine: MachineRequest, call: Call, nodes: Collection[str]
) -> dict[str, Ec2Instance]:
    """Settle a call.

    Args:
        aws: where.
        context: what the service's instances share.
        machine: what the call's nodes ask for now.
        call: what was recorded before it.
        wanted: the nodes that are to be made; with others the call is not repeated.

    Returns:
        The instances that it made and that exist, by node; of the other nodes it is certain that it made none.

    Raises:
        AwsError, AwsUnreachableError: it is still not known.
    """
    if not set(call.nodes) <= set(nodes):
        return find_made(aws, call)
    try:
        made = run_call(aws, context, replace(machine, image=replace(machine.image, id=call.image)), call)
    except AwsError as error:
        if error.code == ENDED or error.code in NO_CAPACITY:
            return {}
        if error.code == MISMATCH:
            # Taken, and what the nodes ask for has changed since.
            return find_made(aws, call)
        raise
    now = find_by_ids(aws, [instance.id for instance in made.values()])
    return {node: one for node, one in made.items() if now.get(one.id, one).exists}


def find_made(aws: Aws, call: Call) -> dict[str, Ec2Instance]:
    """Return the instances that a call made and that exist, by node; wait for them while they may not be seen yet."""
    until = min(call.at, time.time()) + SETTLED_SECONDS
    while True:
        found = find_by_token(aws, call.token)
        if found or time.time() > until:
            return {instance.node: instance for instance in found if instance.exists}
        time.sleep(_PAUSE_SECONDS)


def calls_of(known: Mapping[str, Attributes]) -> list[Call]:
    """Return the calls that were recorded for nodes and not answered, each once."""
    calls = (Call.of(attributes) for attributes in known.values())
    return list({call.token: call for call in calls if call}.values())

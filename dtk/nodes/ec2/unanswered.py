"""Calls that no answer came to: asked again with their own token, or looked for, before anything else is made.

EC2 answers a token that it has taken with the instances of its first call, and makes them if it has not. So asking
again is safe as long as all nodes of the call are still wanted. Otherwise its instances are looked for until they
would have come into sight.
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
        return find_made(aws, call.token, call.at)
    try:
        made = run_call(aws, context, replace(machine, image=replace(machine.image, id=call.image)), call)
    except AwsError as error:
        if error.code == ENDED or error.code in NO_CAPACITY:
            return {}
        if error.code == MISMATCH:
            # Taken, and what the nodes ask for has changed since.
            return find_made(aws, call.token, call.at)
        raise
    now = find_by_ids(aws, [instance.id for instance in made.values()])
    return {node: one for node, one in made.items() if now.get(one.id, one).exists}


def calls_of(known: Mapping[str, Attributes]) -> list[Call]:
    """Return the calls that were recorded for nodes and not answered, each once."""
    calls = (Call.of(attributes) for attributes in known.values())
    return list({call.token: call for call in calls if call}.values())

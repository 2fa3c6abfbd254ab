"""The result of a RunInstances call: assigns each instance to a node; finds lost instances by the call's token.

An instance's launch index says which node of the call it is. AWS documents this for one reservation, but not for every
market. If two instances have the same index, or an index does not fit, they get the call's free nodes in the order of
their ids, so that the instances of a complete call are never taken for fewer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dtk.errors import DtkError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance, find_by_tags, find_by_token
from dtk.nodes.ec2.tags import LINEAGE, NODES, TOKEN, as_list, nodes_in

SETTLED_SECONDS = 300.0
"""After this time, in seconds, DescribeInstances shows the result of a call reliably."""
PAUSE_SECONDS = 2.0
_JUST_MADE = ("InvalidInstanceID.NotFound",)


def find_of_service(aws: Aws, lineage: str) -> dict[str, Ec2Instance]:
    """Return the instances of a service by node."""
    found: dict[str, Ec2Instance] = {}
    for instance in assigned(find_by_tags(aws, **{LINEAGE: lineage})):
        found.setdefault(instance.node, instance)
    return found


def find_made(aws: Aws, token: str, at: float) -> dict[str, Ec2Instance]:
    """Return the existing instances that a call created, by node; wait while they may not be visible yet.

    Args:
        aws: the AWS services.
        token: the call's client token.
        at: the time of the call, in seconds since 1970.
    """
    until = min(at, time.time()) + SETTLED_SECONDS
    while True:
        found = find_by_token(aws, token)
        if found or time.time() > until:
            return {instance.node: instance for instance in assigned(found) if instance.exists}
        time.sleep(PAUSE_SECONDS)


def assigned(instances: Iterable[Ec2Instance]) -> list[Ec2Instance]:
    """Return the instances in the same order, each with its node; no two of one call have the same node."""
    found = list(instances)
    calls: dict[str, list[Ec2Instance]] = {}
    for instance in found:
        calls.setdefault(instance.tags.get(TOKEN) or instance.id, []).append(instance)
    nodes = {instance.id: node for call in calls.values() for instance, node in _nodes_of_call(call)}
    return [replace(instance, node=nodes[instance.id]) for instance in found]


def _nodes_of_call(instances: Sequence[Ec2Instance]) -> list[tuple[Ec2Instance, str]]:
    told = {one.id: one.node for one in instances if len(nodes_in(one.tags)) == 1}
    claimed = Counter(one.node for one in instances if one.id not in told)
    told |= {one.id: one.node for one in instances if claimed[one.node] == 1 and one.node not in ("", *told.values())}
    unclear = sorted(one.id for one in instances if one.id not in told)
    free = [node for node in max((nodes_in(one.tags) for one in instances), key=len) if node not in told.values()]
    told |= dict(zip(unclear, free, strict=False))
    return [(one, told.get(one.id, "")) for one in instances]


def note_nodes(aws: Aws, before: Iterable[Ec2Instance], after: Iterable[Ec2Instance]) -> None:
    """Tag instances whose launch index does not identify their node with that one node.

    An error here fails no node: the order of the ids gives the same result until one of the instances has ended.
    """
    told = {instance.id: instance.node for instance in before}
    for instance in after:
        if instance.node and told[instance.id] != instance.node:
            try:
                tags = as_list({NODES: instance.node})
                aws.call("create_tags", settling=_JUST_MADE, Resources=[instance.id], Tags=tags)
            except DtkError:
                return

"""Finds the instance of each node: by its id in the state, by its tags, or through an unanswered call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dtk.errors import DtkError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import LaunchContext, MachineRequest
from dtk.nodes.ec2.instances import Ec2Instance, find_by_ids
from dtk.nodes.ec2.location import check_missing
from dtk.nodes.ec2.made import find_made, find_of_service
from dtk.nodes.ec2.unanswered import calls_of, repeat_call
from dtk.nodes.provider import NodeRecord, NodeRequest, Report, ServiceIdentity


def instances_of(aws: Aws, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> dict[str, Ec2Instance]:
    """Return the existing instances of nodes, by node: by the id in the state, else by the tags of the launch.

    Raises:
        InvalidError: one is missing, and the account may be another one.
    """
    by_id = find_by_ids(aws, (record.id for record in records))
    check_missing(aws, (record for record in records if record.id and record.id not in by_id))
    found = {record.node: by_id[record.id] for record in records if record.id in by_id}
    found = {node: instance for node, instance in found.items() if instance.exists}
    return found | _without_id(aws, identity, [record for record in records if not record.id])


def _without_id(aws: Aws, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> dict[str, Ec2Instance]:
    """Return the instances of nodes whose task died before it could record their ids."""
    if not records:
        return {}
    found = find_of_service(aws, identity.lineage)
    for call in calls_of({record.node: record.attributes for record in records if record.node not in found}):
        found |= find_made(aws, call.token, call.at)
    return {record.node: found[record.node] for record in records if record.node in found}


def made_by_unanswered_calls(
    aws: Aws, context: LaunchContext, machines: Mapping[str, MachineRequest], requests: Sequence[NodeRequest]
) -> tuple[dict[str, Ec2Instance], dict[str, DtkError]]:
    """Repeat the recorded calls of nodes that were not answered.

    Args:
        aws: the AWS services.
        context: what the service's instances have in common.
        machines: the present request of every node.
        requests: the nodes without a known instance.

    Returns:
        The instances that the calls created, by node; and errors for nodes whose outcome is still unknown.
    """
    made: dict[str, Ec2Instance] = {}
    unknown: dict[str, DtkError] = {}
    for call in calls_of({request.node: request.known for request in requests}):
        nodes = [request.node for request in requests if request.known.get("client_token") == call.token]
        try:
            made |= repeat_call(aws, context, machines[nodes[0]], call, machines.keys())
        except DtkError as error:
            unknown |= dict.fromkeys(nodes, error)
    return made, unknown


def report_missing(known: Mapping[str, NodeRecord], found: Mapping[str, Ec2Instance], report: Report) -> list[str]:
    """Report an error for nodes whose instances are gone; return the others."""
    for node in known.keys() - found.keys():
        report(
            node,
            DtkError(
                f"instance {known[node].id or 'of ' + node} no longer exists",
                hint="run dtk apply --refresh to create the node again",
            ),
        )
    return [node for node in known if node in found]

"""Ends instances: those that dtk created are terminated, adopted ones are released and keep running."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dtk.errors import DtkError
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.instances import Ec2Instance, OnOutcome, on_each, wait_for
from dtk.nodes.ec2.tags import ADOPTED, LINEAGE, NODE, NODES, ORIGIN, SERVICE, VERSION, WORKSPACE

_MARK = (ADOPTED, LINEAGE, NODE, NODES, ORIGIN, SERVICE, VERSION, WORKSPACE)
"""The tags that adopting adds to an instance, and that releasing removes."""


def end_instances(
    aws: Aws, instances: Mapping[str, Ec2Instance], adopted: Collection[str], timeout: float, on_outcome: OnOutcome
) -> None:
    """Terminate instances, release adopted ones, and wait until all of them are gone or have no mark of dtk.

    Args:
        aws: the AWS services.
        instances: the instances by any name.
        adopted: the names of those that dtk did not create.
        timeout: time limit for all of them, in seconds.
        on_outcome: called with each name, and with the instance or the reason why it could not be ended.
    """
    kept = {name: one.id for name, one in instances.items() if name in adopted}
    ended = {name: one.id for name, one in instances.items() if name not in adopted}
    mark = [{"Key": key} for key in _MARK]
    refused: dict[str, DtkError] = {
        **on_each(list(ended.values()), lambda ids: aws.call("terminate_instances", InstanceIds=ids)),
        **on_each(list(kept.values()), lambda ids: aws.call("delete_tags", Resources=ids, Tags=mark)),
    }
    for name, one in instances.items():
        if one.id in refused:
            on_outcome(name, refused[one.id])
    waiting = {name: id_ for name, id_ in {**ended, **kept}.items() if id_ not in refused}
    of_kept = set(kept.values())

    def is_done(instance: Ec2Instance) -> bool:
        # The tags of a released instance may be seen for some seconds: with them, it would be found as the service's.
        is_released = instance.id in of_kept and LINEAGE not in instance.tags
        return is_released or instance.state == "terminated"

    wait_for(aws, waiting, is_done, timeout, on_outcome)

"""Refuses a plan for nodes that are somewhere else than their target now: there they would run on, forgotten."""

from __future__ import annotations

from dtk.errors import InvalidError
from dtk.model.target import Target
from dtk.state.model import State

REGION = "region"


def check_place(state: State, target: Target) -> None:
    """Compare where a service's instances are with what dtk.yaml says of their target.

    Args:
        state: nodes that are instances have the attribute ``region``.
        target: where no region is named, what the AWS tools are set up with counts; apply compares that.

    Raises:
        InvalidError: names both places and what to do.
    """
    regions = sorted({str(node.attributes[REGION]) for node in state.nodes.values() if node.attributes.get(REGION)})
    wanted = str(target.settings.get(REGION, ""))
    if not regions or (target.type == "ec2" and (not wanted or regions == [wanted])):
        return
    there = (
        f"target '{target.name}' is in region {wanted} now" if wanted else f"target '{target.name}' is {target.type}"
    )
    raise InvalidError(
        f"the nodes of service '{state.service}' are in region {', '.join(regions)}, and {there}",
        hint=f"put the target back (type: ec2, region: {regions[0]}) in dtk.yaml;"
        f" to move the service, destroy it there first: dtk delete-and-destroy {state.service}",
    )

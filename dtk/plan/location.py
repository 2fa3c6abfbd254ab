"""Refuses a plan if its nodes are elsewhere than their target now; otherwise they would keep running unnoticed."""

from __future__ import annotations

from dtk.errors import InvalidError
from dtk.model.target import Target
from dtk.state.model import State

REGION = "region"


def check_location(state: State, target: Target) -> None:
    """Compare the region of a service's instances with that of their target in dtk.yaml.

    Args:
        state: the state; nodes of targets with regions have the attribute ``region``.
        target: if its settings name no region, apply compares the one that its provider finds.

    Raises:
        InvalidError: the regions differ; the error names both and what to do.
    """
    regions = sorted({str(node.attributes[REGION]) for node in state.nodes.values() if node.attributes.get(REGION)})
    region = target.description.region(target)
    if not regions or region == "" or regions == [region]:
        return
    there = f"target '{target.name}' is " + (f"in region {region} now" if region else target.type)
    raise InvalidError(
        f"the nodes of service '{state.service}' are in region {', '.join(regions)}, and {there}",
        hint=f"restore the target's type and region (region: {regions[0]}) in dtk.yaml;"
        f" to move the service, destroy it there first: dtk delete-and-destroy {state.service}",
    )

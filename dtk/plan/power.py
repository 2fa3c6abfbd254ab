"""Plans of start and stop: power machines on or off, nothing else.

Source: docs/original.md 5.7: ``start`` creates the task ``power_on_nodes`` and does not reconfigure; the next plan
does, if addresses have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dtk.errors import DtkError, UsageError
from dtk.model.names import group_of, node_order
from dtk.model.plan import NodeChange, Plan
from dtk.model.selection import Selection
from dtk.model.suggestion import did_you_mean
from dtk.model.target import Power
from dtk.plan.compile import finished_plan
from dtk.plan.diff.membership import Groups, wanted_groups, with_memberships
from dtk.plan.diff.steps import node_stage
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.service import topology_of

TASK_TYPES = {"start": "power_on_nodes", "stop": "power_off_nodes"}
_STATUS_BEFORE = {"start": "stopped", "stop": "running"}


def power_plan(request: PlanRequest, power: Power, only: str = "") -> Plan:
    """Return the plan that powers a service's nodes on or off.

    Args:
        request: as for any plan; ``workflow`` should be "", because the task runs none.
        power: whether to start or to stop.
        only: a node or a group; "" for all. Nodes already in the desired state are left unchanged.

    Raises:
        UsageError: there is no such node or group.
    """
    state = request.state
    chosen = _chosen(sorted(state.nodes, key=node_order), only)
    changes = [
        NodeChange(node, power, request.target.description.power_refusal(power, existing.attributes))
        if node in chosen and existing.status == _STATUS_BEFORE[power]
        else NodeChange(node, "keep")
        for node, existing in state.nodes.items()
    ]
    stages = with_memberships(request, node_stage(changes, power, {}), _groups(request) if power == "start" else {})
    limited = replace(request, selection=Selection((only,))) if only else request
    return finished_plan(limited, nodes=changes, components=(), stages=stages, task_type=TASK_TYPES[power])


def _groups(request: PlanRequest) -> Groups:
    """Return the load balancer groups of nodes; none if the service can't be resolved, so that it can be started."""
    if request.service.module not in request.modules:
        return {}
    try:
        return wanted_groups(request, topology_of(request))
    except DtkError:
        return {}


def _chosen(nodes: Sequence[str], only: str) -> list[str]:
    chosen = [node for node in nodes if only in ("", node, group_of(node))]
    if only and not chosen:
        known = [*nodes, *dict.fromkeys(map(group_of, nodes))]
        hint = did_you_mean(only, known, "dtk list-nodes")
        raise UsageError(f"node '{only}' is not in the state", hint=hint)
    return chosen

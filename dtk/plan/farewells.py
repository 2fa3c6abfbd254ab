"""What the remaining nodes do before others leave: the assembly's workflow scale_down, if it has one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dtk.model.plan import GOING, NodeChange, Stage
from dtk.model.planned_action import PlannedAction
from dtk.plan.diff.changes import node_changes, pending_nodes, values_maker
from dtk.plan.diff.steps import component_stages
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.service import ResolvedService, resolve_service
from dtk.plan.workflow.actions import plan_action
from dtk.plan.workflow.stages import SCALE_DOWN, StagedAction, StageOutline, expand_workflow


def farewell_outlines(resolved: ResolvedService, nodes: Iterable[NodeChange]) -> list[StageOutline]:
    """Return the stages that run on remaining nodes, if any node goes."""
    workflow = resolved.topology.assembly.workflows.get(SCALE_DOWN)
    leaves = any(change.change in GOING for change in nodes)
    return expand_workflow(resolved.topology, workflow, resolved.links) if workflow and leaves else []


def without(request: PlanRequest, nodes: Iterable[str]) -> ResolvedService:
    """Resolve the service as its other nodes see it while these do not exist."""
    missing = request.before.without.union(nodes)
    return resolve_service(replace(request, before=replace(request.before, without=missing)))


def present(request: PlanRequest, resolved: ResolvedService) -> ResolvedService:
    """Resolve the service as the nodes that exist see it before others are created."""
    changes = node_changes(resolved.topology, request.state)
    return without(request, (change.node for change in changes if change.change == "create"))


def farewell_stages(request: PlanRequest, resolved: ResolvedService, nodes: Sequence[NodeChange]) -> list[Stage]:
    """Return the stages that run before all others of the plan, with the values that exist by then.

    Args:
        request: the plan's request.
        resolved: the service with all its nodes.
        nodes: what the plan does with them.
    """
    if not farewell_outlines(resolved, nodes):
        return []  # without resolving the service again, which takes long if it is large
    existing = present(request, resolved)
    pending = pending_nodes(nodes) & existing.topology.nodes.keys()
    values = values_maker(existing.topology, existing.bindings, request.state, pending)(request.before.paths)

    def plan_one(action: StagedAction) -> PlannedAction:
        return plan_action(action, values, ("group members are removed",))

    return component_stages(farewell_outlines(existing, nodes), plan_one)

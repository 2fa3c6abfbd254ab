"""Plans that terminate all nodes: delete actions in reverse order of creation, then every node."""

from __future__ import annotations

from dataclasses import replace

from dtk.errors import DtkError
from dtk.model.module import Workflow
from dtk.model.names import DELETE, DESTROY, RESET, node_order
from dtk.model.plan import ComponentChange, Plan
from dtk.plan.compile import finished_plan, outlines_of, resolve_for_plan
from dtk.plan.diff.deletions import deletion_stages
from dtk.plan.diff.membership import with_memberships
from dtk.plan.diff.releases import going
from dtk.plan.diff.steps import within_windows
from dtk.plan.resolve.concurrency import Windows
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.workflow.stages import StageOutline


def destroy_plan(request: PlanRequest, *, force: bool) -> Plan:
    """Return the plan that terminates every node of a service and deletes the service.

    Args:
        request: as for any plan; its workflow is ignored.
        force: skip the components' delete actions, for nodes that no longer respond.
    """
    return _ending_plan(request, request, DESTROY, force=force)


def reset_plan(request: PlanRequest, *, force: bool) -> Plan:
    """Return the plan that terminates every node but keeps the service; see ``destroy_plan`` for the arguments."""
    return _ending_plan(request, replace(request, workflow=RESET), RESET, force=force)


def _ending_plan(request: PlanRequest, planned: PlanRequest, task_type: str, *, force: bool) -> Plan:
    state = request.state
    reason = "the service is destroyed" if task_type == DESTROY else "all nodes are reset"
    nodes = [going(node, reason, state) for node in sorted(state.nodes, key=node_order)]
    order, workflow, windows = _order(request)
    stages = deletion_stages(state, nodes, request.modules, order, run_actions=not force, workflow=workflow)
    components = [
        ComponentChange(node, component, "delete")
        for node in sorted(state.applied, key=node_order)
        for component in state.applied[node]
    ]
    return finished_plan(
        planned,
        nodes=nodes,
        components=components,
        stages=with_memberships(request, within_windows(stages, windows), {}),
        task_type=task_type,
        destroys=task_type == DESTROY,
    )


def _order(request: PlanRequest) -> tuple[list[StageOutline], Workflow | None, Windows]:
    """Return the create workflow's stages, the delete workflow and the groups' limits; empty if resolving fails.

    Destroying must always be possible, even if the service can't be resolved.
    """
    if request.service.module not in request.modules:
        return [], None, {}
    try:
        resolved = resolve_for_plan(request)
        topology = resolved.topology
        return outlines_of(request, resolved), topology.assembly.workflows.get(DELETE), topology.windows
    except DtkError:
        return [], None, {}

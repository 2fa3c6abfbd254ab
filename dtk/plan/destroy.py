"""The plan of delete-and-destroy: delete actions in reverse order of creation, then every node."""

from __future__ import annotations

from dtk.errors import DtkError
from dtk.model.module import Workflow
from dtk.model.names import node_order
from dtk.model.plan import ComponentChange, NodeChange, Plan
from dtk.plan.compile import PlanRequest, finished_plan, outlines_of, resolve
from dtk.plan.deletions import deletion_stages
from dtk.plan.workflow import DELETE, StageOutline


def destroy_plan(request: PlanRequest, *, force: bool) -> Plan:
    """Return the plan that ends every node of a service.

    Args:
        request: as for any plan; its workflow is ignored.
        force: leave the components' delete actions out, for nodes that no longer answer.
    """
    state = request.state
    nodes = [NodeChange(node, "terminate", "the service is destroyed") for node in sorted(state.nodes, key=node_order)]
    order, workflow = _workflows(request)
    stages = deletion_stages(state, nodes, request.modules, order, run_actions=not force, workflow=workflow)
    components = [
        ComponentChange(node, component, "delete")
        for node in sorted(state.applied, key=node_order)
        for component in state.applied[node]
    ]
    return finished_plan(
        request, nodes=nodes, components=components, stages=stages, task_type="delete_and_destroy", destroys=True
    )


def _workflows(request: PlanRequest) -> tuple[list[StageOutline], Workflow | None]:
    """The create workflow's stages and the delete workflow, as far as the service can still be resolved.

    Destroying must always be possible.
    """
    try:
        resolved = resolve(request)
        return outlines_of(request, resolved), resolved.topology.assembly.workflows.get(DELETE)
    except DtkError:
        return [], None

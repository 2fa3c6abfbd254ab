"""The plan of delete-and-destroy: delete actions in reverse order of creation, then every node."""

from __future__ import annotations

from dtk.errors import InvalidError
from dtk.model.names import node_order
from dtk.model.plan import ComponentChange, NodeChange, Plan
from dtk.plan.compile import PlanRequest, finished_plan, resolve
from dtk.plan.deletions import deletion_stages
from dtk.plan.workflow import CREATE, StageOutline, expand_workflow


def destroy_plan(request: PlanRequest, *, force: bool) -> Plan:
    """Return the plan that ends every node of a service.

    Args:
        request: as for any plan; its workflow is ignored.
        force: leave the components' delete actions out, for nodes that no longer answer.
    """
    state = request.state
    nodes = [NodeChange(node, "terminate", "the service is destroyed") for node in sorted(state.nodes, key=node_order)]
    stages = deletion_stages(state, nodes, request.modules, _create_order(request), run_actions=not force)
    components = [
        ComponentChange(node, component, "delete")
        for node in sorted(state.applied, key=node_order)
        for component in state.applied[node]
    ]
    return finished_plan(
        request, nodes=nodes, components=components, stages=stages, task_type="delete_and_destroy", destroys=True
    )


def _create_order(request: PlanRequest) -> list[StageOutline]:
    """The create workflow's stages, as far as the service can still be resolved: destroying must always be possible."""
    try:
        resolved = resolve(request)
    except InvalidError:
        return []
    workflow = resolved.topology.assembly.workflows.get(CREATE)
    return expand_workflow(resolved.topology, workflow, resolved.links) if workflow else []

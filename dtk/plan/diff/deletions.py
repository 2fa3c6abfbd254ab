"""Removals: the delete actions of components that leave, alone or with their nodes; then the nodes.

A delete action uses the values that were applied, because it undoes what was done with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from dtk.errors import InvalidError, Location
from dtk.model.json_data import JsonObject
from dtk.model.module import ComponentUse, Module, Workflow
from dtk.model.names import CREATE, DELETE, ComponentName, group_of, node_order
from dtk.model.plan import GOING, NodeChange, Stage
from dtk.model.planned_action import PlannedAction
from dtk.model.value import Known, Value
from dtk.plan.diff.steps import component_stage, node_stage
from dtk.plan.resolve.topology import Instance, Topology, components_by_type, with_hidden
from dtk.plan.resolve.values import default_of
from dtk.plan.workflow.actions import build_action
from dtk.plan.workflow.definitions import definition_of
from dtk.plan.workflow.flattening import Branch, layers_of
from dtk.plan.workflow.stages import StagedAction, StageOutline
from dtk.state.model import NodeState, State


def deletion_stages(  # noqa: PLR0913 - what exists, what goes, and in which order
    state: State,
    changes: Sequence[NodeChange],
    modules: Mapping[str, Module],
    outlines: Sequence[StageOutline],
    *,
    run_actions: bool = True,
    dropped: Collection[tuple[str, str]] = (),
    workflow: Workflow | None = None,
    reason: str = "its node is removed",
) -> list[Stage]:
    """Return the stages that remove the nodes that go, and dropped components of other nodes.

    Args:
        state: what exists, and the values it was applied with.
        changes: the node changes; all but those of nodes that go are ignored.
        modules: the modules by name.
        outlines: the create workflow's stages; delete actions run in their reverse order.
        run_actions: False skips the delete actions (``--force``).
        workflow: the assembly's delete workflow; it sets the order of the leaving components that it contains.
        dropped: node and component of what leaves remaining nodes, from ``dropped_components``.
        reason: the reason to show for actions on leaving nodes.
    """
    dropped = frozenset(dropped)
    going = [change for change in changes if change.change in GOING]
    # Nothing can run on a stopped machine: it is terminated without delete actions.
    nodes = {change.node for change in going if state.nodes[change.node].status == "running"}
    # Read from the state: what leaves is no longer in the service, and may have been applied with other values.
    applied = [i for node in state.applied for i in _applied_instances(node, state, modules)]
    leaving = [i for i in applied if i.node in nodes or i.key in dropped] if run_actions else []
    written = _written_outlines(leaving, workflow) if workflow else []
    written_keys = {
        action.instance.key for outline in written for action in outline.actions() if action.action == DELETE
    }
    # Components that users added came last and are not in the workflow, so they are deleted first.
    outlined = _delete_outlines([i for i in leaving if i.key not in written_keys], outlines) + written

    def plan_one(action: StagedAction) -> PlannedAction:
        is_dropped = action.instance.key in dropped
        return _planned(action, state, "no longer in the service" if is_dropped else reason)

    stages = [component_stage(outline, plan_one) for outline in outlined]
    return [*stages, *node_stage(going, "release", {}), *node_stage(going, "terminate", {})]


def dropped_components(state: State, topology: Topology) -> list[tuple[str, str]]:
    """Return node and component of what was applied but is no longer wanted, on running nodes that stay.

    A component on a stopped node is removed by the first plan after the node's start.
    """
    return [
        (node, component)
        for node in sorted(topology.nodes, key=node_order)
        if node in state.nodes and state.nodes[node].status == "running"
        for component in state.applied.get(node, {})
        if (node, component) not in topology.instances
    ]


def _written_outlines(leaving: Sequence[Instance], workflow: Workflow) -> list[StageOutline]:
    stages = []
    for layer in layers_of(workflow):
        per_node: dict[str, list[StagedAction]] = {}
        for branch in layer.branches:
            for node, staged in _of_branch(leaving, branch).items():
                per_node.setdefault(node, []).extend(staged)
        entries = tuple((node, tuple(per_node[node])) for node in sorted(per_node, key=_group_first))
        if entries:
            stages.append(StageOutline(layer.name, entries, layer.options.max_in_flight, layer.options.canary or None))
    return stages


def _of_branch(leaving: Sequence[Instance], branch: Branch) -> dict[str, list[StagedAction]]:
    per_node: dict[str, list[StagedAction]] = {}
    for item in branch.items:
        for instance in leaving:
            there = branch.node in ("", instance.node, group_of(instance.node))
            known = item.action in instance.component.actions
            if there and known and item.component.means(instance.name):
                staged = StagedAction(instance, item.action, options=branch.options, location=item.location)
                per_node.setdefault(instance.node, []).append(staged)
    first = min(per_node, key=_group_first, default="") if branch.options.run_once else ""
    return {first: per_node[first]} if first else per_node


def _group_first(node: str) -> tuple[bool, str, int]:
    return (group_of(node) == node, *node_order(node))


def _delete_outlines(applied: Iterable[Instance], outlines: Sequence[StageOutline]) -> list[StageOutline]:
    instances = [instance for instance in applied if DELETE in instance.component.actions]
    positions = _positions(outlines)
    ordered = sorted(instances, key=lambda instance: -positions.get(instance.name, len(outlines)))
    names = dict.fromkeys(str(instance.name) for instance in ordered)
    return [_outline(name, [i for i in ordered if str(i.name) == name]) for name in names]


def _outline(name: str, instances: Iterable[Instance]) -> StageOutline:
    return StageOutline(f"delete {name}", tuple((i.node, (StagedAction(i, DELETE),)) for i in instances))


def _applied_instances(node: str, state: State, modules: Mapping[str, Module]) -> list[Instance]:
    components = components_by_type(modules.values())
    found = []
    for text in state.applied.get(node, {}):
        name = ComponentName.parse(text)
        component = components.get(name.type) if name else None
        if name is not None and component is not None:
            # No file mentions it any more; only the state can be given as the location of a problem.
            use = ComponentUse(name, Location("state.json", 1, 1))
            component = with_hidden(component, state.applied[node][text].hidden)
            found.append(Instance(node, name, component, use, modules[component.module].folder))
    return found


def _positions(outlines: Sequence[StageOutline]) -> dict[ComponentName, int]:
    """Return the index of the first stage that creates each component, on any node: leaving nodes are not in it."""
    found: dict[ComponentName, int] = {}
    for position, outline in enumerate(outlines):
        for action in outline.actions():
            if action.action == CREATE:
                found.setdefault(action.instance.name, position)
    return found


def _planned(staged: StagedAction, state: State, reason: str) -> PlannedAction:
    instance = staged.instance
    node = _node_variables(instance.node, state.nodes[instance.node])
    if definition_of(instance, staged.action).uses_is_first:
        members = [name for name in state.nodes if group_of(name) == group_of(instance.node)]
        node["is_first"] = instance.node == min(members, key=node_order)
    try:
        return build_action(instance, staged.action, _applied_values(instance, state), node, (reason,))
    except InvalidError as error:
        hint = "the module has changed since it was applied: apply it first, or skip delete actions with --force"
        raise InvalidError(error.message, error.problems, hint=hint) from None


def _applied_values(instance: Instance, state: State) -> dict[str, Value]:
    """Return the applied values; attributes added to the module since then have their defaults."""
    attributes = instance.component.attributes.values()
    applied = state.applied[instance.node][str(instance.name)].attributes
    since = [a for a in attributes if a.has_default and not a.dynamic and a.name not in applied]
    defaults = {a.name: default_of(a) for a in since}
    dynamic = {
        a.name: Known(state.attributes[instance.path(a.name)])
        for a in attributes
        if a.dynamic and instance.path(a.name) in state.attributes
    }
    # The order matters: an output of the component's own action is newer than the value it was given.
    return {**applied, **defaults, **dynamic}


def _node_variables(node: str, existing: NodeState) -> JsonObject:
    group = group_of(node)
    return {**existing.attributes, "name": node, "group": group if group != node else ""}

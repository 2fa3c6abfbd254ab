"""The compiler: (modules at their digests, service, state) → plan, as a pure function.

    service + modules ─► topology ─► links ─► values ─┐
                              └─► workflow ───────────┼─► changes ─► stages ─► plan
                                             state ───┘

No network, no clock, no writes: the same input gives the same plan, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dtk import __version__
from dtk.errors import InvalidError
from dtk.model.module import Workflow
from dtk.model.names import CREATE, DELETE
from dtk.model.plan import GOING, ComponentChange, FirewallRule, ModuleUse, NodeChange, Plan, Stage
from dtk.model.planned_action import PlannedAction
from dtk.model.selection import EVERYTHING, names_of_component
from dtk.model.target import Attributes
from dtk.plan.diff.changes import Changes, component_changes, node_changes, pending_nodes, values_maker
from dtk.plan.diff.deletions import deletion_stages, dropped_components
from dtk.plan.diff.firewall import firewall_rules
from dtk.plan.diff.machines import (
    Differences,
    changed_in_place,
    in_place_stages,
    like_its_group,
    machine_differences,
    machine_findings,
)
from dtk.plan.diff.membership import finished_stages, with_memberships
from dtk.plan.diff.producers import guards, order_problems
from dtk.plan.diff.recomputed import RecomputedValues, dynamic_paths, made_earlier, makers_in
from dtk.plan.diff.releases import going, with_releases
from dtk.plan.diff.scheduling import acts, reasons_of, scheduled_outlines
from dtk.plan.diff.selection import Chosen, check_terms, choose, left_out, narrowed, unmade_problems
from dtk.plan.diff.steps import component_stages, node_stage, number_stages, within_windows
from dtk.plan.document import digest_of_plan
from dtk.plan.farewells import farewell_outlines, farewell_stages, present, without
from dtk.plan.location import check_location
from dtk.plan.resolve.node_attributes import declared_ports, machine_attributes
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.service import ResolvedService, resolve_service
from dtk.plan.resolve.values import Values
from dtk.plan.resolve.violations import find_violations, unplannable
from dtk.plan.resumption import left_unfinished, resumed
from dtk.plan.rounds import REASON, Parts, replacing, without_aside, without_values
from dtk.plan.workflow.actions import plan_action
from dtk.plan.workflow.ad_hoc import action_stage, check_parameters
from dtk.plan.workflow.flattening import layers_of
from dtk.plan.workflow.generation import generate_workflow
from dtk.plan.workflow.stages import StagedAction, StageOutline, expand_workflow


def resolve_for_plan(request: PlanRequest) -> ResolvedService:
    """Resolve a service with the values that its plan will see, and collect its violations."""
    resolved = resolve_service(request)
    topology = resolved.topology
    pending = pending_nodes(node_changes(topology, request.state)) | request.before.nodes
    # A dynamic attribute counts as given here if it has a value already or an action of this plan sets it.
    actions = _actions_of(topology.assembly.workflows.get(request.workflow))
    given = frozenset(
        path
        for instance in topology.instances.values()
        for action in {CREATE, *actions.get(instance.name.type, ())}
        for path in dynamic_paths(instance, action)
    )
    values = values_maker(topology, resolved.bindings, request.state, pending)(given)
    problems = [*resolved.problems, *find_violations(topology, values, request.service.name)]
    return replace(resolved, values=values, problems=tuple(dict.fromkeys(problems)))


def _actions_of(workflow: Workflow | None) -> dict[str, set[str]]:
    """Return the actions that a workflow runs, by component type; titles are ignored."""
    found: dict[str, set[str]] = {}
    for layer in layers_of(workflow) if workflow else ():
        for branch in layer.branches:
            for item in branch.items:
                found.setdefault(item.component.type, set()).add(item.action)
    return found


def compile_plan(request: PlanRequest) -> Plan:
    """Compile the plan of a workflow.

    Raises:
        InvalidError: the service has violations; the error lists all of them.
        UsageError: the assembly has no such workflow, or there is nothing to resume.
    """
    request = resumed(request)
    plan = _compiled(request)
    if not request.selection:
        return plan
    # Compare with the whole plan, not with the selection's terms: a term may select further steps.
    whole = _compiled(replace(request, selection=EVERYTHING, scope="all" if request.scope == "all" else "changes"))
    return _digested(replace(plan, left_out=left_out(whole, plan)))


def _compiled(request: PlanRequest) -> Plan:
    # A separate function: the memory of planning (ten thousand nodes) is freed before the digest is computed.
    parts = replacing(request, _parts, _going_stages) if request.replaces else _parts(request)
    return finished_plan(
        replace(request, findings=parts.findings),
        nodes=parts.nodes,
        components=parts.components,
        firewall=parts.firewall,
        stages=parts.stages,
        task_type="assembly_converge" if request.workflow == CREATE else request.workflow,
    )


def _parts(request: PlanRequest) -> Parts:
    resolved = resolve_for_plan(request)
    if resolved.problems:
        raise unplannable(request.service.name, resolved.problems)
    outlines = outlines_of(request, resolved)
    check_parameters(request.parameters, workflow_of(request, resolved), outlines)
    # Check before selecting: a term that matches nothing would select nothing and look like an empty plan.
    check_terms(request.selection, resolved.topology, outlines, request.state)
    differences = _differences(request, resolved)
    request = replace(request, findings=(*request.findings, *machine_findings(differences)))
    aside = {node for batch in request.replaces for node in batch}
    nodes = changed_in_place(_node_changes(request, resolved), differences, aside)
    chosen = choose(request.selection, nodes, outlines, request.state)
    chosen = without_aside(chosen, request.before.aside, request.state)
    deletions = _deletions(request, resolved, chosen)
    # An unfinished task counts as work: its smoke tests have not run, even if no component has changed.
    works = bool(deletions or pending_nodes(chosen.nodes)) or request.unfinished is not None
    changes = _changes(request, resolved, chosen, works=works)
    while waiting := without_values(chosen, request.before, changes.recomputed):
        chosen = narrowed(chosen, waiting, request.state)
        changes = _changes(request, resolved, chosen, works=works)
    stages = _stages(request, resolved, chosen, changes, deletions, differences)
    firewall = _firewall(request, changes.recomputed.general())
    return Parts(changes.nodes, changes.components, firewall, stages, request.findings)


def _differences(request: PlanRequest, resolved: ResolvedService) -> Differences:
    """Return how machines differ from what their nodes request; empty for workflows that don't converge the service."""
    return machine_differences(request.target, resolved.topology, request.state) if request.workflow == CREATE else {}


def _firewall(request: PlanRequest, values: Values) -> tuple[FirewallRule, ...]:
    """Return the service's firewall rules if the whole service is converged, else none."""
    # With a selection, the ports of the other components are unknown: their rules would look stale.
    if request.workflow != CREATE or request.selection:
        return ()
    ports = {port for node in values.topology.nodes for port in declared_ports(values, node)}
    return firewall_rules(request.target, ports, request.state)


def _digested(plan: Plan) -> Plan:
    return replace(plan, digest=digest_of_plan(plan))


def finished_plan(
    request: PlanRequest,
    *,
    nodes: Iterable[NodeChange],
    components: Iterable[ComponentChange],
    stages: Iterable[Stage],
    task_type: str,
    firewall: Iterable[FirewallRule] = (),
    destroys: bool = False,
) -> Plan:
    """Assemble a plan: number its stages, fill in its header and compute its digest.

    Raises:
        InvalidError: the service's nodes are in another region than the target.
    """
    # Checked here because every plan passes through: in the wrong region, all nodes would look terminated.
    check_location(request.state, request.target)
    service, state, unfinished = request.service, request.state, request.unfinished
    nodes = tuple(with_releases(nodes, state))
    plan = Plan(
        dtk_version=__version__,
        service=service.name,
        assembly=f"{service.module.replace('/', ':')}/{service.assembly}",
        target={"name": request.target.name, "type": request.target.type, **request.target.settings},
        task_type=task_type,
        workflow=request.workflow,
        lineage=state.lineage,
        serial=state.serial,
        workspace=request.workspace,
        service_digest=request.service_digest,
        modules=_module_uses(request),
        nodes=nodes,
        components=tuple(components),
        firewall=tuple(firewall),
        stages=number_stages(stages),
        destroys=destroys,
        volumes=tuple(_volumes(request, nodes)),
        deletes_volumes=destroys and request.deletes_volumes,
        resumes=unfinished.task if unfinished and request.scope == "resume" else 0,
        leaves_unfinished=0 if destroys else left_unfinished(request),
        parameters=dict(request.parameters),
        drift=tuple(found for found in request.findings if found.is_drift),
        unchecked=tuple(found for found in request.findings if not found.is_drift),
        replaces=request.replaces,
        forced=request.forced,
        only=request.selection.only,
        exclude=request.selection.exclude,
    )
    return _digested(plan)


def _volumes(request: PlanRequest, nodes: Iterable[NodeChange]) -> Iterator[str]:
    """List the volumes of permanently removed nodes: they remain, and only the plan says so.

    Volumes to delete come from the target: the state does not know those of nodes that were removed before.
    """
    if request.deletes_volumes:
        yield from request.volumes
        return
    for change in nodes:
        known = request.state.nodes.get(change.node)
        if change.change in GOING and known is not None:
            for volume in request.target.description.kept_volumes(known.attributes):
                yield f"{change.node} {volume}"


def _module_uses(request: PlanRequest) -> tuple[ModuleUse, ...]:
    return tuple(
        ModuleUse(name=name, version=module.version, digest=module.digest, source=request.sources.get(name, ""))
        for name, module in sorted(request.modules.items())
    )


def workflow_of(request: PlanRequest, resolved: ResolvedService) -> Workflow | None:
    """Return the assembly's own workflow for a request; None for the generated one or a component's action."""
    return resolved.topology.assembly.workflows.get(request.workflow)


def outlines_of(request: PlanRequest, resolved: ResolvedService) -> list[StageOutline]:
    """Return all stages of a request's workflow or action, before any are left out."""
    workflow = workflow_of(request, resolved)
    if workflow is not None:
        return expand_workflow(resolved.topology, workflow, resolved.links, request.parameters)
    if request.workflow == CREATE:
        return generate_workflow(resolved.topology, resolved.links, guards(resolved.topology, resolved.values))
    return action_stage(resolved.topology, request.state, request.workflow, request.parameters)


def _node_changes(request: PlanRequest, resolved: ResolvedService) -> tuple[NodeChange, ...]:
    """Return the node changes that the workflow may make: only converge removes nodes, and actions create none."""
    changes = node_changes(resolved.topology, request.state)
    if request.workflow == CREATE:
        return tuple(_in_its_place(request, change) for change in changes)
    # A written workflow needs its nodes, so it may create them. An action of one component must not start a machine.
    keeps = GOING if workflow_of(request, resolved) else (*GOING, "create", "start")
    kept = (change for change in changes if change.change not in keeps or change.node in request.state.nodes)
    return tuple(NodeChange(c.node, "keep") if c.change in keeps else c for c in kept)


def _in_its_place(request: PlanRequest, change: NodeChange) -> NodeChange:
    is_replaced = change.change == "create" and change.node in request.before.nodes
    return NodeChange(change.node, "create", REASON) if is_replaced else change


def _changes(request: PlanRequest, resolved: ResolvedService, chosen: Chosen, *, works: bool) -> Changes:
    """Return the changes; ``works`` means that the plan has work even if no component changes."""
    created = [action for outline in chosen.outlines for action in outline.actions() if action.action == CREATE]
    makers = [action for _, action in makers_in(chosen.outlines)]
    pending = pending_nodes(chosen.nodes) | request.before.nodes
    missing = chosen.missing | request.before.paths
    maker = values_maker(resolved.topology, resolved.bindings, request.state, pending, missing)
    everything = request.scope == "all" or request.workflow != CREATE

    def acting(changed: bool, recomputed: RecomputedValues) -> Iterator[str]:
        busy = works or changed
        return (action.key for action in makers if everything or acts(request, action, recomputed, busy=busy))

    components, recomputed = component_changes(
        created,
        request.state,
        RecomputedValues(maker, made_earlier(chosen.outlines), nodes=pending_nodes(chosen.nodes)),
        acting,
        everything=everything,
        drifted=request.drifted,
        secrets=request.secrets,
    )
    # Values are computed lazily: only now do all their problems show.
    if problems := recomputed.general().problems:
        raise InvalidError(f"service '{request.service.name}' can't be planned", [*problems.values()])
    busy = works or any(change.change != "unchanged" for change in components)
    return Changes(chosen.nodes, (*_dropped(request, resolved), *components), recomputed, busy)


def _dropped(request: PlanRequest, resolved: ResolvedService) -> tuple[ComponentChange, ...]:
    """Return the removed components on remaining nodes that have a delete action; without one, nothing is done."""
    components = resolved.topology.components
    return tuple(
        ComponentChange(node, name, "delete", ("no longer in the service",))
        for node, name in _leaving(request, resolved)
        if (found := components.get(name.partition("[")[0])) and DELETE in found.actions
    )


def _leaving(request: PlanRequest, resolved: ResolvedService) -> list[tuple[str, str]]:
    """Return node and component of each selected component that leaves a remaining node."""
    dropped = dropped_components(request.state, resolved.topology) if request.workflow == CREATE else []
    return [key for key in dropped if request.selection.takes(names_of_component(*key))]


def _deletions(request: PlanRequest, resolved: ResolvedService, chosen: Chosen) -> list[Stage]:
    dropped, delete = _leaving(request, resolved), resolved.topology.assembly.workflows.get(DELETE)
    return deletion_stages(
        request.state, chosen.nodes, request.modules, chosen.outlines, dropped=dropped, workflow=delete
    )


def _stages(
    request: PlanRequest,
    resolved: ResolvedService,
    chosen: Chosen,
    changes: Changes,
    deletions: list[Stage],
    differences: Differences,
) -> list[Stage]:
    recomputed, general = changes.recomputed, changes.recomputed.general()
    attributes = {node: _machine(request, general, node) for node in resolved.topology.nodes}
    machines = [
        *in_place_stages(changes.nodes, differences, attributes, resolved.topology.windows),
        *node_stage(changes.nodes, "create", attributes),
        *node_stage(changes.nodes, "start", attributes),
    ]
    kept = scheduled_outlines(request, chosen.outlines, changes)
    unmade = unmade_problems(chosen, kept, recomputed) if request.selection else ()
    late = [*order_problems(kept, chosen.whole, recomputed), *unmade]
    if late:
        raise InvalidError(f"service '{request.service.name}' can't be planned", list(dict.fromkeys(late)))

    def plan_one(action: StagedAction) -> PlannedAction:
        return plan_action(action, recomputed.of(action), reasons_of(request, action, changes))

    # Remaining nodes release leaving members while those still respond; then the members leave; then machines come.
    farewells = farewell_stages(request, resolved, changes.nodes)
    stages = [*farewells, *deletions, *machines, *component_stages(kept, plan_one)]
    return finished_stages(request, resolved.topology, stages)


def _machine(request: PlanRequest, values: Values, node: str) -> Attributes:
    """Return a node's machine attributes; a replacement machine uses the current files, not its group's values."""
    attributes = machine_attributes(request.target, values, node)
    anew = node in request.before.nodes or (request.unfinished is not None and node in request.unfinished.replaced)
    return attributes if anew else like_its_group(request.target, request.state, node, attributes)


def _going_stages(request: PlanRequest, nodes: Sequence[str]) -> list[Stage]:
    """Return the stages that terminate machines of nodes that stay in the service; other nodes release them first."""
    changes = [going(node, REASON, request.state) for node in nodes]
    resolved = without(request, nodes)
    pending = request.before.nodes
    values = values_maker(resolved.topology, resolved.bindings, request.state, pending)(request.before.paths)
    outlines = [] if request.forced else farewell_outlines(resolved, changes)
    reasons = (f"{REASON}: {', '.join(nodes)}",)
    try:
        farewells = component_stages(outlines, lambda action: plan_action(action, values, reasons))
    except InvalidError as error:
        hint = f"to skip the actions of the other nodes before {nodes[0]} is replaced: --force"
        raise InvalidError(error.message, error.problems, hint=hint) from None
    order, delete = outlines_of(request, resolve_for_plan(request)), resolved.topology.assembly.workflows.get(DELETE)
    run_actions = not request.forced
    stages = deletion_stages(
        request.state, changes, request.modules, order, run_actions=run_actions, workflow=delete, reason=REASON
    )
    return with_memberships(request, within_windows([*farewells, *stages], resolved.topology.windows), {})


def outlined_stages(request: PlanRequest, resolved: ResolvedService) -> tuple[Stage, ...]:
    """Return all stages of a plan with their actions named but not planned: enough for a diagram.

    Args:
        request: the plan's request; its scope is "all".
        resolved: the resolved service, without problems.
    """
    nodes, outlines = _node_changes(request, resolved), outlines_of(request, resolved)
    chosen = choose(EVERYTHING, nodes, outlines, request.state)

    def name_one(action: StagedAction) -> PlannedAction:
        instance = action.instance
        return PlannedAction(instance.node, str(instance.name), action.action, instance.component.module)

    machines = [*node_stage(nodes, "create", {}), *node_stage(nodes, "start", {})]
    farewells = component_stages(farewell_outlines(present(request, resolved), nodes), name_one)
    deletions = _deletions(request, resolved, chosen)
    return number_stages([*farewells, *deletions, *machines, *component_stages(outlines, name_one)])

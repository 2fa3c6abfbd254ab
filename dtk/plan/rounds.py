"""Replaces machines round by round: one round's machines are terminated, created and converged before the next.

    state ─► release, delete, terminate ─► create, converge, test ─► state after it ─► the next round …

Each round is planned from the state that the earlier rounds will leave; values they set are known only after they run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dtk.errors import UsageError
from dtk.model.names import CREATE, DELETE, group_of, node_order
from dtk.model.plan import ENDING_STEPS, ComponentChange, Finding, FirewallRule, NodeChange, Rounds, Stage, Step
from dtk.model.planned_action import PlannedAction
from dtk.model.suggestion import did_you_mean
from dtk.model.window import in_flight
from dtk.plan.diff.changes import node_changes
from dtk.plan.diff.machines import changed_in_place, machine_differences
from dtk.plan.diff.recomputed import RecomputedValues
from dtk.plan.diff.selection import Chosen, narrowed, waiting_actions
from dtk.plan.resolve.concurrency import window_of
from dtk.plan.resolve.request import NOTHING_EARLIER, Earlier, PlanRequest, Scope
from dtk.plan.resolve.service import topology_of
from dtk.state import changes
from dtk.state.model import Applied, NodeState, State, Unfinished

REASON = "its machine is replaced"
_COMPARED = {"instance_type", "made_with"}
"""The node attributes by which targets detect that a machine's size differs from its node's request."""


@dataclass(frozen=True)
class Parts:
    """The parts of a plan or of one of its rounds; the values used to compute them are no longer needed."""

    nodes: tuple[NodeChange, ...]
    components: tuple[ComponentChange, ...]
    firewall: tuple[FirewallRule, ...]
    stages: list[Stage]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Replacement:
    """A user's request to replace machines: nodes or groups; the first ``canary`` members of a group go first.

    ``max_in_flight`` is as in an assembly, "" for the group's own. ``forced`` skips component actions before
    termination.
    """

    names: tuple[str, ...]
    max_in_flight: str = ""
    canary: int = 0
    forced: bool = False


def with_replacement(request: PlanRequest, wish: Replacement) -> PlanRequest:
    """Return the request for a plan that replaces machines.

    Raises:
        UsageError: a name matches no existing node that stays in the service.
    """
    topology = topology_of(request)
    rounds: list[tuple[str, ...]] = []
    for name in dict.fromkeys(wish.names):
        members = [node for node in topology.nodes if name in (node, group_of(node)) and node in request.state.nodes]
        if not members:
            known = sorted(node for node in topology.nodes if node in request.state.nodes)
            hint = did_you_mean(name, [*known, *map(group_of, known)], f"dtk list-nodes {request.service.name}")
            raise UsageError(f"no node '{name}' with a machine to replace", hint=hint)
        done = {node for batch in rounds for node in batch}
        left = sorted((node for node in members if node not in done), key=node_order)
        window = _window(wish.max_in_flight) if wish.max_in_flight else topology.windows.get(group_of(members[0]), 1)
        rounds += _rounds(left, in_flight(window, len(members)), wish.canary)
    return replace(request, replaces=tuple(rounds), forced=wish.forced)


def _window(text: str) -> int | str:
    try:
        return window_of(text)
    except ValueError as error:
        raise UsageError(f"--max-in-flight: {error}") from None


def _rounds(nodes: Sequence[str], size: int, canary: int) -> Iterator[tuple[str, ...]]:
    """Yield the rounds; one machine at a time by default, because a machine is unavailable while it is replaced."""
    first = min(canary, len(nodes))
    if first:
        yield tuple(nodes[:first])
    for start in range(first, len(nodes), size):
        yield tuple(nodes[start : start + size])


def rounds_left(state: State, unfinished: Unfinished) -> Rounds:
    """Return the remaining rounds of an interrupted task; nodes that already lost their machine are recreated first."""
    left = (
        tuple(node for node in batch if node in state.nodes and node not in unfinished.replaced)
        for batch in unfinished.replaces
    )
    return tuple(batch for batch in left if batch)


def without_aside(chosen: Chosen, aside: Collection[str], state: State) -> Chosen:
    """Return a selection without any work on nodes that a round leaves unchanged."""
    if not aside:
        return chosen
    nodes = tuple(NodeChange(one.node, "keep") if one.node in aside else one for one in chosen.nodes)
    actions = (action for outline in chosen.outlines for action in outline.actions())
    left = {action.key for action in actions if action.instance.node in aside}
    return replace(narrowed(chosen, left, state), nodes=nodes)


def without_values(chosen: Chosen, before: Earlier, recomputed: RecomputedValues) -> set[str]:
    """Return the keys of actions that take values which nodes that a round leaves unchanged have only later.

    Their components are left as they are: the round that replaces those nodes converges them.
    """
    absent = before.aside & before.nodes
    is_complete = not before.aside or not (absent or chosen.missing)
    return set() if is_complete else waiting_actions(chosen, absent, recomputed)


def replacing(
    request: PlanRequest,
    plan_round: Callable[[PlanRequest], Parts],
    going_stages: Callable[[PlanRequest, Sequence[str]], list[Stage]],
) -> Parts:
    """Plan the replacement of machines, round by round.

    Args:
        request: the plan's request, with its rounds.
        plan_round: plans the converge of the service from the state in a request.
        going_stages: plans the stages that terminate the machines of nodes.
    """
    nodes = frozenset(node for batch in request.replaces for node in batch)
    state, earlier, found = request.state, NOTHING_EARLIER, []
    stages: list[Stage] = []
    open_changes, aside = _open_changes(request), frozenset(request.replaces[0])
    if request.scope == "resume" or open_changes.keys() - aside:
        # Bring back missing machines and finish what an earlier round began before the next one removes more machines.
        # Members of later rounds must know the new machines too: only those of the next round are left as they are.
        unmet = frozenset(node for node in aside if open_changes.get(node) == "create")
        found.append(plan_round(replace(request, before=Earlier(nodes=unmet, aside=aside))))
        stages += found[-1].stages
        state, earlier = _after(stages, state, earlier)
        scope: Scope = "changes" if request.scope == "resume" else request.scope
        request, state = replace(request, scope=scope, findings=()), replace(state, unfinished=None)
    for batch in request.replaces:
        now = replace(request, state=state, before=earlier)
        going = going_stages(now, batch)
        stages += going
        state, earlier = _after(going, state, earlier)
        earlier = replace(earlier, nodes=earlier.nodes | frozenset(batch))
        found.append(plan_round(replace(request, state=state, before=earlier)))
        stages += found[-1].stages
        state, earlier = _after(found[-1].stages, state, earlier)
        request, state = replace(request, findings=()), replace(state, unfinished=None)
    return _joined(found, stages, nodes)


def _open_changes(request: PlanRequest) -> dict[str, str]:
    """Return, by node, the changes of machines that are missing, stopped or about to get another size or disks."""
    topology, replaced = topology_of(request), {node for batch in request.replaces for node in batch}
    differences = machine_differences(request.target, topology, request.state)
    nodes = changed_in_place(node_changes(topology, request.state), differences, replaced)
    return {one.node: one.change for one in nodes if one.change in ("create", "start", "resize", "grow", "modify")}


def _joined(found: Sequence[Parts], stages: list[Stage], replaced: Collection[str]) -> Parts:
    first = found[0]
    order = {"terminate": 0, "release": 0, "replace": 1}
    nodes = [NodeChange(one.node, "replace") if one.node in replaced else one for one in first.nodes]
    components: dict[tuple[str, str], ComponentChange] = {}
    for change in (change for parts in found for change in parts.components):
        key = change.node, change.component
        if key not in components or components[key].change == "unchanged":
            components[key] = change
    findings = tuple(one for one in first.findings if one.kind not in ("machine", "kept") or one.node not in replaced)
    nodes.sort(key=lambda one: (order.get(one.change, 2), node_order(one.node) if one.node in replaced else ()))
    return Parts(tuple(nodes), tuple(components.values()), first.firewall, stages, findings)


def _after(stages: Iterable[Stage], state: State, earlier: Earlier) -> tuple[State, Earlier]:
    """Return the state after stages, as far as a plan can know it, and what the stages have set."""
    for leaf in (leaf for stage in stages for leaf in stage.leaves()):
        state = _after_step(leaf, state)
        if leaf.type in ("create_node", "power_on_node", "resize_node"):
            earlier = replace(earlier, nodes=earlier.nodes | {leaf.node})
        # A delete action removes its component's values, including those it has just set.
        made = {output.attribute for action in leaf.actions if action.action != DELETE for output in action.outputs}
        earlier = replace(earlier, paths=earlier.paths | made) if made else earlier
    return state, earlier


def _after_step(leaf: Step, state: State) -> State:
    if leaf.type in ("create_node", "power_on_node"):
        known = state.nodes.get(leaf.node, NodeState("", ""))
        attributes = {"home": "", **known.attributes}
        return changes.with_node(state, leaf.node, replace(known, status="running", attributes=attributes))
    if leaf.type in ("resize_node", "modify_volumes"):
        # The machine then matches its files: drop the compared attributes, so that it is not changed again.
        known = state.nodes[leaf.node]
        attributes = {name: known.attributes[name] for name in known.attributes.keys() - _COMPARED}
        return changes.with_node(state, leaf.node, replace(known, status="running", attributes=attributes))
    if leaf.type in ENDING_STEPS:
        return changes.without_node(state, leaf.node)
    if leaf.target_groups:
        groups = () if leaf.type == "deregister_node" else leaf.target_groups
        state = changes.with_membership(state, leaf.node, groups, in_service=bool(groups))
    for action in leaf.actions:
        state = _after_action(action, state)
    return state


def _after_action(action: PlannedAction, state: State) -> State:
    if action.action == DELETE:
        return changes.without_applied(state, action.node, action.component)
    if action.action != CREATE:
        return state
    # Use the planned values: a value not known yet stays the same in the next round unless that recomputes it.
    applied = Applied(action.module, action.action_digest, action.attributes, 1, action.hidden)
    return changes.with_applied(state, action.node, action.component, applied)

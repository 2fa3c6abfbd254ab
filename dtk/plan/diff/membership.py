"""Takes nodes out of load balancer groups and DNS names before work on them, and registers them afterwards.

Before a node is terminated, stopped or resized, a separate stage takes it out of both. A node whose components change
leaves its groups, but not its names, while its step runs. New nodes are registered in both after their last step.
A node that is out of a group is registered before another node of the group is taken out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dtk.model.membership import IN_SERVICE, balancer_group, group_name, is_dns_name, registered_groups
from dtk.model.names import CREATE, DELETE, node_order
from dtk.model.plan import ENDING_STEPS, Stage, Step
from dtk.model.selection import names_of_node
from dtk.plan.diff.steps import MACHINE_STEPS, NODE_STAGES, within_windows
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.topology import Topology

Groups = Mapping[str, tuple[str, ...]]
"""Load balancer groups and DNS names by node."""
_DOWN = (*ENDING_STEPS, "power_off_node", "resize_node")
_UP = ("create_node", "power_on_node", "resize_node")


def wanted_groups(request: PlanRequest, topology: Topology) -> Groups:
    """Return the groups in which each node of a service should be registered; without those of nodes set aside."""
    groups_of = request.target.description.target_groups
    nodes = topology.nodes.items()
    return {
        name: groups_of(request.target, name, node.attributes)
        for name, node in nodes
        if name not in request.before.aside
    }


def finished_stages(request: PlanRequest, topology: Topology, stages: Iterable[Stage]) -> list[Stage]:
    """Return a plan's stages with the limits of their groups, and with registration in load balancers."""
    return with_memberships(request, within_windows(stages, topology.windows), wanted_groups(request, topology))


def with_memberships(request: PlanRequest, stages: Sequence[Stage], wanted: Groups) -> list[Stage]:
    """Return stages with deregistration before, and registration after, the work on nodes.

    Args:
        request: the plan's request.
        stages: the stages of a plan, or of one of its rounds.
        wanted: the groups of the nodes that stay; other nodes only leave theirs.
    """
    known = {node: registered_groups(one.attributes) for node, one in request.state.nodes.items()}
    inside = {node: groups for node, groups in known.items() if groups}
    if not inside and not any(wanted.values()):
        return list(stages)
    going = {leaf.node for stage in stages for leaf in stage.leaves() if leaf.type in ENDING_STEPS}
    serving = {node for node in inside if wanted.get(node) and request.state.nodes[node].attributes.get(IN_SERVICE)}
    dropped = {node: inside[node] for node in inside if _is_left(request, stages, node, wanted)}
    inside = {node: groups for node, groups in inside.items() if node not in dropped}
    out = [node for node in _returning(request, stages, wanted, serving) if node not in going]
    places = {node: _place_of_return(request, stages, node) for node in out}
    idle = {node: wanted[node] for node, place in places.items() if place is None}
    found = _stage("deregister", dropped)
    for index, stage in enumerate(stages):
        first = {node for node, place in places.items() if place == index}
        leaving = {node: inside.pop(node) for node in _nodes_down(stage, going) if node in inside}
        serving = (serving | first) - leaving.keys() - {leaf.node for leaf in stage.leaves() if leaf.type in _UP}
        rotated = _rotated(stage, serving, first, wanted)
        resized = {leaf.node: wanted.get(leaf.node, ()) for leaf in stage.leaves() if leaf.type == "resize_node"}
        back = {node: groups for node, groups in resized.items() if groups}
        if leaving or any(leaf.target_groups for leaf in rotated.leaves()):
            found += _stage("register", idle)
            back, idle = back | idle, {}
            found += _stage("deregister", leaving)
        found += [rotated, *_stage("register", {node: back[node] for node in back if node in resized})]
        inside, serving = inside | back, serving | back.keys()
    again = {
        leaf.node for stage in found for leaf in stage.leaves() if leaf.type == "configure_node" and leaf.target_groups
    }
    settled = {node for node in serving if _is_settled(inside.get(node, ()), wanted[node], again=node in again)}
    entering = {node: groups for node, groups in wanted.items() if groups and node not in settled}
    entering = {node: entering[node] for node in entering if _is_converged(request, stages, node)}
    place = _after_work(found, entering)
    return [*found[:place], *_stage("register", entering), *found[place:]]


def _is_left(request: PlanRequest, stages: Iterable[Stage], node: str, wanted: Groups) -> bool:
    """Return whether a node that stays leaves all of its groups: it should be in none, or its machine is gone."""
    known = request.state.nodes[node]
    leaves = wanted.get(node) == () or (node in wanted and known.status == "pending" and not known.id)
    return leaves and _is_converged(request, stages, node)


def _returning(
    request: PlanRequest, stages: Sequence[Stage], wanted: Groups, serving: Collection[str]
) -> Iterator[str]:
    """Yield running nodes that are out of a target group in which another node serves."""
    served = {name for node in serving for name in _shared(wanted[node])}
    for node in sorted(wanted.keys() - serving, key=node_order):
        is_served = not served.isdisjoint(_shared(wanted[node]))
        if is_served and _runs(request, node) and _is_converged(request, stages, node):
            yield node


def _place_of_return(request: PlanRequest, stages: Sequence[Stage], node: str) -> int | None:
    """Return the index of the first stage that works on a node and leaves it with all of its components."""
    work = [place for place, one in enumerate(stages) if any(_is_work(x) for x in one.leaves() if x.node == node)]
    known = request.state.applied.get(node, {})
    new = [
        place
        for place in work
        for leaf in stages[place].leaves()
        if leaf.node == node and any(one.action == CREATE and one.component not in known for one in leaf.actions)
    ]
    return next((place for place in work if place >= max(new, default=0)), None)


def _target_groups(groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(group for group in groups if not is_dns_name(group))


def _shared(groups: Iterable[str]) -> set[str]:
    return set(map(balancer_group, _target_groups(groups)))


def _is_settled(inside: Iterable[str], wanted: Iterable[str], *, again: bool) -> bool:
    """Return whether a serving node needs no registration; one that enters its groups again keeps its names."""
    has, wants = set(inside), set(wanted)
    return has == wants or (again and not any(map(is_dns_name, has ^ wants)))


def _is_converged(request: PlanRequest, stages: Iterable[Stage], node: str) -> bool:
    """Return whether a plan converges a node, or starts or creates it."""
    worked = {leaf.node for stage in stages for leaf in stage.leaves() if request.selection or leaf.type in _UP}
    chosen = not request.selection or request.selection.takes(names_of_node(node))
    return node in worked or (request.workflow == CREATE and _runs(request, node) and chosen)


def _runs(request: PlanRequest, node: str) -> bool:
    known = request.state.nodes.get(node)
    return known is not None and known.status == "running" and known.is_met


def _nodes_down(stage: Stage, going: Collection[str]) -> set[str]:
    """Return the nodes that a stage stops or terminates, or prepares for it."""
    return {leaf.node for leaf in stage.leaves() if leaf.type in _DOWN or (leaf.node in going and _deletes(leaf))}


def _deletes(leaf: Step) -> bool:
    return any(action.action == DELETE for action in leaf.actions)


def _is_work(leaf: Step) -> bool:
    return leaf.type == "configure_node" or _deletes(leaf)


def _rotated(stage: Stage, serving: Collection[str], first: Collection[str], wanted: Groups) -> Stage:
    """Return a stage whose work on serving nodes takes them out; of a group, one at a time if it has no limit.

    Args:
        stage: the stage.
        serving: the nodes that its work takes out.
        first: those among them that are out, and come back before another one leaves.
        wanted: the groups in which nodes are afterwards.
    """
    return replace(stage, steps=_in_turn([_rotated_step(step, serving, first, wanted) for step in stage.steps], first))


def _rotated_step(step: Step, serving: Collection[str], first: Collection[str], wanted: Groups) -> Step:
    if not step.steps:
        rotates = step.node in serving and _is_work(step)
        return replace(step, target_groups=_target_groups(wanted[step.node]) if rotates else ())
    steps = _in_turn([_rotated_step(one, serving, first, wanted) for one in step.steps], first)
    limited = step.max_in_flight is None and any(one.target_groups for one in steps)
    return replace(step, steps=steps, max_in_flight=1 if limited else step.max_in_flight)


def _in_turn(steps: Iterable[Step], first: Collection[str]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: not any(leaf.node in first for leaf in step.leaves())))


def _after_work(stages: Sequence[Stage], nodes: Collection[str]) -> int:
    """Return the position after the last stage that works on nodes; tests that follow find them registered."""
    worked = [
        place
        for place, stage in enumerate(stages, start=1)
        if any(leaf.node in nodes and (leaf.type in _UP or _is_work(leaf)) for leaf in stage.leaves())
    ]
    machines = [
        place
        for place, stage in enumerate(stages, start=1)
        if any(leaf.type in MACHINE_STEPS for leaf in stage.leaves())
    ]
    return max([*worked, *machines], default=0)


def _stage(kind: str, groups: Groups) -> list[Stage]:
    outline = NODE_STAGES[kind]
    steps = tuple(_steps(kind, groups))
    return [Stage("", outline.name if len(steps) > 1 else outline.step, steps)] if steps else []


def _steps(kind: str, groups: Groups) -> Iterator[Step]:
    way = "into" if kind == "register" else "out of"
    for node in sorted(groups, key=node_order):
        reason = f"{way} {', '.join(map(group_name, groups[node]))}"
        yield Step("", NODE_STAGES[kind].step, node, reason, target_groups=groups[node])

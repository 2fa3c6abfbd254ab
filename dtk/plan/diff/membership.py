"""Takes nodes out of load balancer groups and DNS names before work on them, and registers them afterwards.

A node that goes, stops or is resized leaves both in a stage of its own before that. A node whose components change
leaves its groups, not its names, within its step, and only while the step runs. New nodes enter both after their last
work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dtk.model.membership import IN_SERVICE, group_name, is_dns_name, registered_groups
from dtk.model.names import CREATE, DELETE, node_order
from dtk.model.plan import Stage, Step
from dtk.model.selection import names_of_node
from dtk.plan.diff.steps import NODE_STAGES, within_windows
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.topology import Topology

Groups = Mapping[str, tuple[str, ...]]
"""Load balancer groups and DNS names by node."""
_DOWN = ("terminate_node", "power_off_node", "resize_node")
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
    """Return a plan's stages with the limits of their groups, and with what load balancers are told."""
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
    going = {leaf.node for stage in stages for leaf in stage.leaves() if leaf.type == "terminate_node"}
    serving = {node for node in inside if wanted.get(node) and request.state.nodes[node].attributes.get(IN_SERVICE)}
    dropped = {node: inside[node] for node in inside if wanted.get(node) == () and _is_converged(request, stages, node)}
    inside = {node: groups for node, groups in inside.items() if node not in dropped}
    found = _stage("deregister", dropped)
    for stage in stages:
        leaving = {node: inside.pop(node) for node in _nodes_down(stage, going) if node in inside}
        serving -= leaving.keys() | {leaf.node for leaf in stage.leaves() if leaf.type in _UP}
        resized = {leaf.node: wanted.get(leaf.node, ()) for leaf in stage.leaves() if leaf.type == "resize_node"}
        back = {node: groups for node, groups in resized.items() if groups}
        found += [*_stage("deregister", leaving), _rotated(stage, serving, wanted), *_stage("register", back)]
        inside, serving = inside | back, serving | back.keys()
    again = {
        leaf.node for stage in found for leaf in stage.leaves() if leaf.type == "configure_node" and leaf.target_groups
    }
    settled = {node for node in serving if _is_settled(inside[node], wanted[node], again=node in again)}
    entering = {node: groups for node, groups in wanted.items() if groups and node not in settled}
    entering = {node: entering[node] for node in entering if _is_converged(request, stages, node)}
    place = _after_work(found, entering)
    return [*found[:place], *_stage("register", entering), *found[place:]]


def _is_settled(inside: Iterable[str], wanted: Iterable[str], *, again: bool) -> bool:
    """Return whether a serving node needs no registration; one that enters its groups again keeps its names."""
    has, wants = set(inside), set(wanted)
    return has == wants or (again and not any(map(is_dns_name, has ^ wants)))


def _is_converged(request: PlanRequest, stages: Iterable[Stage], node: str) -> bool:
    """Return whether a plan makes a node what its files say, or starts or creates it."""
    worked = {leaf.node for stage in stages for leaf in stage.leaves() if request.selection or leaf.type in _UP}
    known = request.state.nodes.get(node)
    runs = known is not None and known.status == "running" and known.is_met
    chosen = not request.selection or request.selection.takes(names_of_node(node))
    return node in worked or (request.workflow == CREATE and runs and chosen)


def _nodes_down(stage: Stage, going: Collection[str]) -> set[str]:
    """Return the nodes that a stage stops or terminates, or prepares for it."""
    return {leaf.node for leaf in stage.leaves() if leaf.type in _DOWN or (leaf.node in going and _deletes(leaf))}


def _deletes(leaf: Step) -> bool:
    return any(action.action == DELETE for action in leaf.actions)


def _is_work(leaf: Step) -> bool:
    return leaf.type == "configure_node" or _deletes(leaf)


def _rotated(stage: Stage, serving: Collection[str], wanted: Groups) -> Stage:
    """Return a stage whose work on serving nodes takes them out; of a group, one at a time if it has no limit."""
    return replace(stage, steps=tuple(_rotated_step(step, serving, wanted) for step in stage.steps))


def _rotated_step(step: Step, serving: Collection[str], wanted: Groups) -> Step:
    if not step.steps:
        rotates = step.node in serving and _is_work(step)
        groups = tuple(one for one in wanted[step.node] if not is_dns_name(one)) if rotates else ()
        return replace(step, target_groups=groups)
    steps = tuple(_rotated_step(one, serving, wanted) for one in step.steps)
    limited = step.max_in_flight is None and any(one.target_groups for one in steps)
    return replace(step, steps=steps, max_in_flight=1 if limited else step.max_in_flight)


def _after_work(stages: Sequence[Stage], nodes: Collection[str]) -> int:
    """Return the position after the last stage that works on nodes; tests that follow find them registered."""
    worked = [
        place
        for place, stage in enumerate(stages, start=1)
        if any(leaf.node in nodes and (leaf.type in _UP or _is_work(leaf)) for leaf in stage.leaves())
    ]
    machines = [place for place, stage in enumerate(stages, start=1) if any(map(_is_machine_work, stage.leaves()))]
    return max([*worked, *machines], default=0)


def _is_machine_work(leaf: Step) -> bool:
    return leaf.type in {outline.step for outline in NODE_STAGES.values()}


def _stage(kind: str, groups: Groups) -> list[Stage]:
    outline = NODE_STAGES[kind]
    steps = tuple(_steps(kind, groups))
    return [Stage("", outline.name if len(steps) > 1 else outline.step, steps)] if steps else []


def _steps(kind: str, groups: Groups) -> Iterator[Step]:
    way = "into" if kind == "register" else "out of"
    for node in sorted(groups, key=node_order):
        reason = f"{way} {', '.join(map(group_name, groups[node]))}"
        yield Step("", NODE_STAGES[kind].step, node, reason, target_groups=groups[node])

"""Generates the stages of an assembly without a create workflow from its components' dependencies.

Source: docs/original.md 5.2. Constraints between nodes determine the stages; those on one node order its part of a
stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dtk.errors import InvalidError, Problem
from dtk.model.names import CREATE
from dtk.plan.resolve.links import Link
from dtk.plan.resolve.topology import Instance, Topology
from dtk.plan.workflow.ordering import Key, LinkOrder, link_order, needed_on_node, sorted_actions
from dtk.plan.workflow.stages import StagedAction, StageOutline, stage_order


def generate_workflow(topology: Topology, links: Sequence[Link], guards: Mapping[Key, set[Key]]) -> list[StageOutline]:
    """Generate the stages: repeatedly, all components whose predecessors are done form the next one.

    Args:
        topology: the service's nodes and their components; attribute holders have nothing to run.
        links: the topology's links.
        guards: for each instance, those that produce the dynamic values it uses, through any chain of links.

    Raises:
        InvalidError: components wait for one another in a cycle.
    """
    waiting = {i.key: i for i in topology.instances.values() if CREATE in i.component.actions}
    order = link_order(links)
    on_node = {key: needed_on_node(instance, topology, order) for key, instance in waiting.items()}
    between = {key: order.get(key, set()) | guards.get(key, set()) for key in waiting}
    stages: list[list[Instance]] = []
    while waiting:
        ready = _ready(waiting, between, on_node)
        if not ready:
            raise _loop(waiting, between, on_node)
        stages.append([waiting.pop(key) for key in ready])
    return [_stage(topology, order, stages, index) for index in range(len(stages))]


def _ready(
    waiting: Mapping[Key, Instance], between: Mapping[Key, set[Key]], on_node: Mapping[Key, set[Key]]
) -> list[Key]:
    """Return what can be in the next stage: its needs on other nodes are done, and nothing on its own node is later."""
    ready = [key for key in waiting if not {other for other in between[key] if other[0] != key[0]} & waiting.keys()]
    while True:
        later = waiting.keys() - set(ready)
        # Repeat until nothing changes: a removed component may be needed by another one on its node.
        kept = [key for key in ready if (on_node[key] | between[key]).isdisjoint(later)]
        if kept == ready:
            return [] if _is_circle(ready, on_node, between) else ready
        ready = kept


def _is_circle(ready: Sequence[Key], on_node: Mapping[Key, set[Key]], between: Mapping[Key, set[Key]]) -> bool:
    left = set(ready)
    while left:
        free = {key for key in left if not ((on_node[key] | between[key]) & left) - {key}}
        if not free:
            return True
        left -= free
    return False


def _loop(
    waiting: Mapping[Key, Instance], between: Mapping[Key, set[Key]], on_node: Mapping[Key, set[Key]]
) -> InvalidError:
    circle = _circle(waiting, between, on_node)
    names = " -> ".join(str(waiting[key].name) for key in circle)
    nodes = {key[0] for key in circle}
    message = (
        f"Intra-node components cycle detected on node '{nodes.pop()}': {names}"
        if len(nodes) == 1
        else f"Loop detected in temporal orders: {names}"
    )
    location = waiting[circle[0]].use.location
    return InvalidError("no workflow can be generated", [Problem(message, location, expected="a create workflow")])


def _circle(
    waiting: Mapping[Key, Instance], between: Mapping[Key, set[Key]], on_node: Mapping[Key, set[Key]]
) -> list[Key]:
    """Follow the waiting relation until it closes a cycle; return the cycle, beginning and ending with the same key."""
    path: list[Key] = [next(key for key in waiting if (between[key] | on_node[key]) & waiting.keys())]
    while True:
        # Take the smallest key, as sets are unordered: the same cycle is always reported the same way.
        following = min((between[path[-1]] | on_node[path[-1]]) & waiting.keys())
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


def _stage(topology: Topology, order: LinkOrder, stages: list[list[Instance]], index: int) -> StageOutline:
    instances = stages[index]
    types = {str(instance.name) for instance in instances}
    several = f"stage_{index + 1}" if len(stages) > 1 else "stage"
    name = f"Component {types.pop()}" if len(types) == 1 else several
    found: dict[str, list[StagedAction]] = {}
    for instance in instances:
        found.setdefault(instance.node, []).append(StagedAction(instance, CREATE))
    nodes = [node for node in stage_order(topology) if node in found]
    return StageOutline(name, tuple((node, tuple(sorted_actions(found[node], topology, order))) for node in nodes))

"""The order of components on one node: what is needed there comes before what needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from dtk.plan.resolve.links import Link, is_among_peers
from dtk.plan.resolve.topology import Instance, Topology

Key = tuple[str, str]

LinkOrder = Mapping[Key, set[Key]]
"""For each instance that links put behind others: these."""


class OfInstance(Protocol):
    """Whatever is done to an instance of a component."""

    @property
    def instance(self) -> Instance:
        """The instance."""


Action = TypeVar("Action", bound=OfInstance)


def link_order(links: Iterable[Link]) -> LinkOrder:
    """Return, for each instance, those that links put before it: its own links, and others' that lead to it.

    Source: docs/original.md 5.2. ``order`` says it; else values do, which come from somewhere before they are used;
    else what a component links to comes first.
    """
    before: defaultdict[Key, set[Key]] = defaultdict(set)
    for link in links:
        if is_among_peers(link.definition, link.base.component):
            continue  # members of a group come about together
        sides = {mapping.destination.side for mapping in link.definition.mappings}
        base, targets = link.base.key, [target.key for target in link.targets]
        if link.definition.order == "before" or (not link.definition.order and sides == {"dependency"}):
            for target in targets:
                before[target].add(base)
        else:
            before[base].update(targets)
    return {key: others - {key} for key, others in before.items()}


def needed_on_node(instance: Instance, topology: Topology, order: LinkOrder) -> set[Key]:
    """Return the instances on the same node that must be converged before an instance."""
    component = instance.component
    types = {dependency.component for dependency in (*component.dependencies, *component.after)}
    here = [other.key for other in topology.on_node(instance.node) if other.name.type in types]
    linked = [key for key in order.get(instance.key, ()) if key[0] == instance.node]
    return {*here, *linked} - {instance.key}


def sorted_actions(actions: Sequence[Action], topology: Topology, order: LinkOrder) -> list[Action]:
    """Return one node's actions so that what is needed comes first; otherwise as listed."""
    waiting = list(actions)
    needs = {action.instance.key: needed_on_node(action.instance, topology, order) for action in waiting}
    done: list[Action] = []
    while waiting:
        left = {action.instance.key for action in waiting}
        # The first that is ready, not all of them: what nothing orders keeps the order in which it was written. In a
        # circle the first one goes: sorting is not where circles are refused.
        ready = next((a for a in waiting if not needs[a.instance.key] & (left - {a.instance.key})), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done

"""The order of components on one node: prerequisites come before the components that need them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from dtk.plan.resolve.links import Link, is_among_peers
from dtk.plan.resolve.topology import Instance, Topology

Key = tuple[str, str]

LinkOrder = Mapping[Key, set[Key]]
"""For each instance, the instances that links put before it."""


class OfInstance(Protocol):
    """Anything that is done to an instance of a component."""

    @property
    def instance(self) -> Instance:
        """The instance."""


Action = TypeVar("Action", bound=OfInstance)


def link_order(links: Iterable[Link]) -> LinkOrder:
    """Return, for each instance, those that links put before it: its own links, and others' links to it.

    Source: docs/original.md 5.2. An explicit ``order`` wins; else the direction of values, which must be produced
    before they are used; else the target of a link comes first.
    """
    before: defaultdict[Key, set[Key]] = defaultdict(set)
    for link in links:
        if is_among_peers(link.definition, link.base.component):
            continue  # members of a group are converged together
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
    """Return one node's actions with prerequisites first; otherwise in the given order."""
    waiting = list(actions)
    needs = {action.instance.key: needed_on_node(action.instance, topology, order) for action in waiting}
    done: list[Action] = []
    while waiting:
        left = {action.instance.key for action in waiting}
        # Take only the first ready action, so that unordered actions keep their written order. In a cycle, take the
        # first one: cycles are refused elsewhere, not by sorting.
        ready = next((a for a in waiting if not needs[a.instance.key] & (left - {a.instance.key})), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done

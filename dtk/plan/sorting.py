"""The order of components on one node: what is needed there comes before what needs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from dtk.plan.links import Link
from dtk.plan.topology import Instance, Topology

Key = tuple[str, str]


class OfInstance(Protocol):
    """Whatever is done to an instance of a component."""

    @property
    def instance(self) -> Instance:
        """The instance."""


Action = TypeVar("Action", bound=OfInstance)


def link_orders(links: Sequence[Link], instance: Instance) -> tuple[set[Key], set[Key]]:
    """Return the instances that an instance's own links put before it, and those they put after it.

    Source: original-dtk.md 3.2. ``order`` says it; else values do, which come from somewhere before they are used;
    else what a component links to comes first.
    """
    before: set[Key] = set()
    after: set[Key] = set()
    for link in links:
        # Not by their keys, which are made anew for each of the many that are looked at.
        if link.base.node != instance.node or link.base.name != instance.name:
            continue
        sides = {mapping.destination.side for mapping in link.definition.mappings}
        is_before = link.definition.order == "before" or (not link.definition.order and sides == {"dependency"})
        (after if is_before else before).update(target.key for target in link.targets)
    return before, after


def needed_on_node(instance: Instance, topology: Topology, links: Sequence[Link]) -> set[Key]:
    """Return the instances on the same node that must be converged before an instance."""
    component = instance.component
    types = {dependency.component for dependency in (*component.dependencies, *component.after)}
    present = [other for other in topology.on_node(instance.node) if other.key != instance.key]
    before = {other.key for other in present if other.name.type in types}
    before |= {key for key in link_orders(links, instance)[0] if key[0] == instance.node}
    return before | {other.key for other in present if instance.key in link_orders(links, other)[1]}


def sorted_actions(actions: Sequence[Action], topology: Topology, links: Sequence[Link]) -> list[Action]:
    """Return one node's actions so that what is needed comes first; otherwise as listed."""
    waiting = list(actions)
    needs = {action.instance.key: needed_on_node(action.instance, topology, links) for action in waiting}
    done: list[Action] = []
    while waiting:
        left = {action.instance.key for action in waiting}
        ready = next((a for a in waiting if not needs[a.instance.key] & (left - {a.instance.key})), waiting[0])
        waiting.remove(ready)
        done.append(ready)
    return done

"""The assembly with a service's own changes: nodes added and removed, components removed, links chosen.

Members keep their numbers: a group has as many members as its cardinality says, with the lowest numbers that
were not removed. A group of cardinality 2 without ``slaves:2`` has ``slaves:1`` and ``slaves:3``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

from dtk.errors import Problem
from dtk.model.module import Assembly, ComponentUse, Node
from dtk.model.names import ASSEMBLY_WIDE, attribute_path, group_of, member_name, split_member
from dtk.model.service import Service
from dtk.model.suggestion import nearest

REQUIRED, ILLEGAL, CONSTRAINT, UNMET = (
    "required_unset_attribute",
    "illegal_attribute_value",
    "component_constraint",
    "unmet_dependency",
)
"""The types of violations (docs/original.md 5.8)."""


def overridden_assembly(service: Service, assembly: Assembly) -> tuple[Assembly, list[Problem]]:
    """Return an assembly with the nodes that a service added and without what it removed.

    Returns:
        The assembly, and a problem for each change that names nothing or an existing node.
    """
    problems = [*_clashes(service, assembly), *_unmatched(service, assembly)]
    nodes = {name: _without(service, node) for name, node in {**service.nodes, **assembly.nodes}.items()}
    kept = {name: nodes[name] for name in [*assembly.nodes, *service.nodes] if name not in service.removed}
    components = tuple(use for use in assembly.components if f"{ASSEMBLY_WIDE}/{use.name}" not in service.removed)
    return replace(assembly, nodes=kept, components=components), problems


def _without(service: Service, node: Node) -> Node:
    kept = tuple(use for use in node.components if f"{node.name}/{use.name}" not in service.removed)
    return replace(node, components=kept)


def _clashes(service: Service, assembly: Assembly) -> Iterator[Problem]:
    for name, node in service.nodes.items():
        if name in assembly.nodes:
            message = f"node '{name}' is in the assembly already"
            yield Problem(message, node.location, kind=CONSTRAINT, fix=f"dtk delete-node {service.name} {name}")


def _unmatched(service: Service, assembly: Assembly) -> Iterator[Problem]:
    known = removable(service, assembly)
    for text, location in service.removed.items():
        is_member = split_member(text) is not None and group_of(text) in {*assembly.nodes, *service.nodes}
        if text not in known and not is_member:
            near = nearest(text, known)
            yield Problem(
                f"'{text}' is listed under removed, but the assembly does not contain it",
                location,
                nearest=near,
                kind=CONSTRAINT,
            )


def removable(service: Service, assembly: Assembly) -> list[str]:
    """Return what ``removed:`` may list besides members: nodes, and components as ``node/component``."""
    nodes = {**service.nodes, **assembly.nodes}
    on_nodes = [f"{name}/{use.name}" for name, node in nodes.items() for use in node.components]
    return [*assembly.nodes, *on_nodes, *(f"{ASSEMBLY_WIDE}/{use.name}" for use in assembly.components)]


def member_numbers(service: Service, group: str, cardinality: int) -> list[int]:
    """Return the numbers of a group's members: the lowest that were not removed."""
    numbers = (number for number in count(1) if member_name(group, number) not in service.removed)
    return list(islice(numbers, cardinality))


def with_chosen_links(service: Service, node: str, use: ComponentUse) -> ComponentUse:
    """Return a component use with the links that the service chooses for it; no target means not linked."""
    prefix = attribute_path(group_of(node), str(use.name), "")
    chosen = {path.removeprefix(prefix): choice for path, choice in service.links.items() if path.startswith(prefix)}
    links = {name: choice.targets for name, choice in chosen.items()}
    locations = {name: choice.location for name, choice in chosen.items()}
    return replace(use, links={**use.links, **links}, locations={**use.locations, **locations}) if chosen else use

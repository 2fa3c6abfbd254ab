"""Which instance is linked to which, and which attributes get their values through the links.

Source: docs/original.md 4.3 and 4.5: a candidate on the same node wins, then the only declared node that has the
component; several candidates are reported, never guessed. A node group counts as one candidate with many members.
A link to a component's own type connects to its peers: the members of its own group, in order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dtk.errors import Problem
from dtk.model.module import AttributeMapping, AttributeTerm, Component, ConstantTerm, LinkDef, TextTerm
from dtk.model.names import ASSEMBLY_WIDE, component_path, group_of, node_order
from dtk.model.suggestion import nearest
from dtk.model.types import is_list_type
from dtk.plan.resolve.overrides import CONSTRAINT, UNMET
from dtk.plan.resolve.topology import Instance, Topology, location_of


@dataclass(frozen=True)
class Link:
    """One link of an instance, with every instance it connects to (several if they are a group's members).

    ``counterpart`` is the target with the same position in its group as the base in its own, if the groups are of
    equal size.
    """

    base: Instance
    definition: LinkDef
    targets: tuple[Instance, ...]
    counterpart: Instance | None = None


@dataclass(frozen=True)
class Binding:
    """One value flow: from ``source`` of one instance to an attribute (or one key of it) of ``destination``."""

    destination: Instance
    attribute: str
    key: str
    source: AttributeTerm | TextTerm | ConstantTerm
    base: Instance
    dependency: Instance
    mapping: AttributeMapping
    fan_in: bool


def build_links(topology: Topology) -> tuple[list[Link], list[Problem]]:
    """Return every link of a topology, and a problem for each that can't be made.

    Problems are: a required link without a target, several candidates for one link, a written target that does not
    exist. An optional link without a candidate yields neither a link nor a problem.
    """
    links: list[Link] = []
    members = _members(topology)
    problems: list[Problem] = [p for instance in topology.instances.values() for p in _same_node(instance, topology)]
    for instance in topology.instances.values():
        for definition in instance.component.links:
            written = instance.use.links.get(definition.name)
            found = (
                _automatic_targets(instance, definition, topology)
                if written is None
                else _written_targets(instance, definition, written, topology)
            )
            if isinstance(found, Problem):
                problems.append(found)
            elif found and (unmapped := _unmapped(instance, definition, found[0].component)):
                problems.append(unmapped)
            elif found:
                links.append(Link(instance, definition, tuple(found), _counterpart(instance, found, members)))
    return links, problems


def _unmapped(instance: Instance, definition: LinkDef, other: Component) -> Problem | None:
    """Return the problem if an optional link maps an attribute that the other component lacks.

    Module validation can't detect this, because the other component's module need not be installed then.
    """
    if not definition.optional:
        return None
    for mapping in definition.mappings:
        source, destination = mapping.source, mapping.destination
        terms = source.parts if isinstance(source, TextTerm) else (source,)
        taken = [term for term in terms if isinstance(term, AttributeTerm) and not term.of_node]
        for term in (*taken, destination):
            if isinstance(term, AttributeTerm) and term.side == "dependency" and term.attribute not in other.attributes:
                message = f"link '{definition.name}' of '{instance.name}' maps '{term.attribute}' of '{other.type}'"
                return Problem(
                    f"{message}, which has no such attribute",
                    location_of(instance),
                    nearest=nearest(term.attribute, other.attributes),
                    kind=UNMET,
                )
    return None


def _counterpart(
    instance: Instance, targets: Sequence[Instance], members: Mapping[str, Sequence[str]]
) -> Instance | None:
    """Return the target with the same position in its group as the instance in its own."""
    group = group_of(instance.node)
    own = members.get(group, ())
    if group == instance.node or len(targets) != len(own):
        return None
    groups = {(group_of(target.node), target.name) for target in targets}
    # Only between two different groups: within one group, a member's only counterpart is itself.
    if len(groups) != 1 or group_of(targets[0].node) == group:
        return None
    return sorted(targets, key=lambda target: node_order(target.node))[own.index(instance.node)]


def _members(topology: Topology) -> dict[str, list[str]]:
    """Return the nodes of each group, and each plain node by itself, in order."""
    found: dict[str, list[str]] = {}
    for node in sorted(topology.nodes, key=node_order):
        found.setdefault(group_of(node), []).append(node)
    return found


def _same_node(instance: Instance, topology: Topology) -> Iterator[Problem]:
    types_here = {other.name.type for other in topology.on_node(instance.node)}
    for dependency in instance.component.dependencies:
        if dependency.component not in types_here:
            node = group_of(instance.node)
            yield Problem(
                f"On node '{node}': component '{instance.name}' needs '{dependency.component}' on the same node",
                location_of(instance),
                kind=CONSTRAINT,
                fix=f"dtk add-component {topology.service} {component_path(node, dependency.component)}",
            )


def _written_targets(
    instance: Instance, definition: LinkDef, written: Iterable[str], topology: Topology
) -> list[Instance] | Problem:
    targets: list[Instance] = []
    if not written and definition.required:
        where = component_path(group_of(instance.node), str(instance.name))
        message = f"'{where}' must be linked to a '{definition.component}', but the service removes this link"
        fix = f"dtk link {topology.service} {where} NODE/{definition.component}"
        return Problem(message, instance.use.locations.get(definition.name), kind=UNMET, fix=fix)
    for text in written:
        node, separator, component = text.rpartition("/")
        declared = node if separator else ASSEMBLY_WIDE
        found = [
            other
            for other in topology.of_type(definition.component)
            if str(other.name) == component and declared in (other.node, group_of(other.node))
        ]
        found = [other for other in found if _is_allowed(instance, definition, other)]
        if not found and (node, component) in topology.absent:
            if definition.required:
                return _unmet(instance, definition, [], topology)
            continue
        if not found:
            found = topology.of_type(definition.component)
            names = sorted({component_path(group_of(other.node), str(other.name)) for other in found})
            where = component_path(group_of(instance.node), str(instance.name))
            return Problem(
                f"link '{definition.name}' of '{instance.name}' points to '{text}', which does not exist",
                location_of(instance),
                expected=f"a {definition.component}: {', '.join(names) or 'the service has none'}",
                nearest=nearest(text, names),
                kind=UNMET,
                fix=f"dtk link {topology.service} {where} {names[0]}" if names else "",
            )
        targets += found
    return targets


def _is_allowed(instance: Instance, definition: LinkDef, other: Instance) -> bool:
    """Return whether a link may connect to an instance, given its node restrictions and ``include_self``."""
    if other.key == instance.key and not definition.include_self:
        return False
    if definition.same_node:
        return other.node == instance.node
    return not (definition.other_node and other.node == instance.node)


def is_among_peers(link: LinkDef, component: Component) -> bool:
    """Return whether a link of a component connects to instances of its own type."""
    return link.component == component.type


def _peers(instance: Instance, definition: LinkDef, topology: Topology) -> list[Instance] | Problem:
    """Return the members of an instance's own group; a required link must have at least one."""
    found = [
        other
        for other in topology.of_type(definition.component)
        if (group_of(other.node), other.name) == (group_of(instance.node), instance.name)
        and _is_allowed(instance, definition, other)
    ]
    if definition.required and not found:
        return _unmet(instance, definition, [], topology)
    return sorted(found, key=lambda other: node_order(other.node))


def _automatic_targets(instance: Instance, definition: LinkDef, topology: Topology) -> list[Instance] | Problem:
    if is_among_peers(definition, instance.component):
        return _peers(instance, definition, topology)
    candidates = [
        other
        for other in topology.on_node(instance.node)
        if other.name.type == definition.component and other is not instance and not definition.other_node
    ]
    # A component on the same node wins: an author who puts both there means them for each other.
    if not candidates and not definition.same_node:
        candidates = [other for other in topology.of_type(definition.component) if other.node != instance.node]
    # The members of a group are one candidate: users link to the group, and it may have any number of them.
    declared = sorted({(group_of(other.node), str(other.name)) for other in candidates})
    if len(declared) == 1:
        return sorted(candidates, key=lambda other: node_order(other.node))
    if not definition.required and not declared:
        return []
    return _unmet(instance, definition, [component_path(node, name) for node, name in declared], topology)


def _unmet(instance: Instance, definition: LinkDef, candidates: list[str], topology: Topology) -> Problem:
    node = group_of(instance.node)
    where = component_path(node, str(instance.name))
    if candidates:
        return Problem(
            f"link '{definition.name}' of '{where}' has several candidates",
            location_of(instance),
            expected=f"one of {', '.join(candidates)}",
            kind=UNMET,
            fix=f"dtk link {topology.service} {where} {candidates[0]}",
        )
    empty = next((i.node for i in topology.absent.values() if i.name.type == definition.component), "")
    if empty:
        message = f"'{where}' must be linked to a '{definition.component}', but group '{empty}' has no members"
        fix = f"dtk set-attribute {topology.service} {empty}/cardinality 1"
        return Problem(message, location_of(instance), kind=UNMET, fix=fix)
    return Problem(
        f"'{where}' must be linked to a '{definition.component}', but the service has none"
        + (" on this node" if definition.same_node else " on another node" if definition.other_node else ""),
        location_of(instance),
        kind=UNMET,
        fix=f"dtk add-component {topology.service} {component_path(node, definition.component)}",
    )


def build_bindings(links: Iterable[Link]) -> list[Binding]:
    """Return the value flows along links, one binding per target of each mapping, in a stable order."""
    return [
        _binding(link, mapping, target)
        for link in links
        for mapping in link.definition.mappings
        for target in _flows_with(link, mapping)
    ]


def _flows_with(link: Link, mapping: AttributeMapping) -> tuple[Instance, ...]:
    """Return the targets of a mapping's value: lists and keys use all, single values only the counterpart if any."""
    destination = link.base if mapping.destination.side == "base" else link.targets[0]
    attribute = destination.component.attributes.get(mapping.destination.attribute)
    takes_all = mapping.destination.key or (attribute is not None and is_list_type(attribute.type))
    return link.targets if takes_all or link.counterpart is None else (link.counterpart,)


def _binding(link: Link, mapping: AttributeMapping, target: Instance) -> Binding:
    destination = link.base if mapping.destination.side == "base" else target
    source_is_group = group_of(target.node) != target.node if destination is link.base else False
    return Binding(
        destination=destination,
        attribute=mapping.destination.attribute,
        key=mapping.destination.key,
        source=mapping.source,
        base=link.base,
        dependency=target,
        mapping=mapping,
        fan_in=source_is_group and target.node != link.base.node and target is not link.counterpart,
    )

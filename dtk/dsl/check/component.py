"""Semantic checks of components: what dependencies and links name, where values flow, what actions set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from dtk.dsl.check.scope import Scope
from dtk.dsl.check.template import NODE_ATTRIBUTES
from dtk.errors import Location, Problem
from dtk.model.module import (
    Attribute,
    AttributeMapping,
    AttributeTerm,
    Component,
    LinkDef,
    Module,
    Output,
    Side,
    TextTerm,
)
from dtk.model.suggestion import nearest
from dtk.model.types import is_list_type

_WITH_KEYS = ("hash", "object", "json")


def component_problems(component: Component, scope: Scope) -> Iterator[Problem]:
    """Yield the problems of a component's references to others and of its own attributes."""
    for dependency in (*component.dependencies, *component.after):
        yield from _named(component, dependency.component, dependency.location, scope)
    for link in component.links:
        yield from _link_problems(component, link, scope)
        for mapping in link.mappings:
            yield from _mapping_problems(component, link, mapping, scope)
    if scope.attributes_known(component.type):
        yield from _output_problems(component)
        if not component.singleton and "name" not in component.attributes:
            message = f"component '{component.name}' takes titles, but has no attribute 'name' to hold them"
            yield Problem(message, component.location)


def _named(component: Component, type_: str, location: Location, scope: Scope) -> Iterator[Problem]:
    unknown = scope.unknown(type_, location)
    if unknown:
        yield unknown
    if type_ == component.type:
        yield Problem(f"component '{type_}' depends on itself", location)


def _link_problems(component: Component, link: LinkDef, scope: Scope) -> Iterator[Problem]:
    if not (link.optional and scope.is_foreign(link.component)):
        unknown = scope.unknown(link.component, link.location)
        if unknown:
            yield unknown
    if link.optional and link.required:
        message = f"link '{link.name}' is optional, but '{link.component}' is required"
        yield Problem(message, link.location, expected="a link without optional, or no required and no dependency")
    if link.component != component.type and not link.include_self:
        message = (
            f"link '{link.name}' goes to '{link.component}': include_self is for a link to the component's own type"
        )
        yield Problem(message, link.location)
    if link.component == component.type and link.same_node and component.singleton:
        message = (
            f"link '{link.name}' leads from '{component.type}' to itself on the same node, but a node has only one"
        )
        yield Problem(message, link.location, expected="a link without same_node, to all members of the group")


def _mapping_problems(
    component: Component, link: LinkDef, mapping: AttributeMapping, scope: Scope
) -> Iterator[Problem]:
    sides: dict[Side, str] = {"base": component.type, "dependency": link.component}
    source = mapping.source
    terms = source.parts if isinstance(source, TextTerm) else (source,)
    for term in terms:
        if isinstance(term, AttributeTerm):
            yield from _source_problems(term, sides[term.side], mapping, scope)
    yield from _destination_problems(mapping, sides[mapping.destination.side], scope)
    if isinstance(source, AttributeTerm) and mapping.destination.key and not source.of_node:
        found = _attribute(source.attribute, sides[source.side], scope)
        if found and is_list_type(found.type) and not source.key:
            message = f"attribute mapping ({mapping.text}) puts a list under a key, which is not supported"
            yield Problem(message, mapping.location)
    elif isinstance(source, AttributeTerm) and not (source.of_node or source.key or source.with_offset):
        yield from _type_problems(source, mapping, sides, scope)


def _type_problems(
    source: AttributeTerm, mapping: AttributeMapping, sides: Mapping[Side, str], scope: Scope
) -> Iterator[Problem]:
    """Yield a problem if a collection would have to become a single value (docs/original.md 4.3, type table)."""
    taken = _attribute(source.attribute, sides[source.side], scope)
    given = _attribute(mapping.destination.attribute, sides[mapping.destination.side], scope)
    if taken is None or given is None or given.type == "json" or is_list_type(given.type):
        return
    if is_list_type(taken.type):
        message = f"attribute mapping ({mapping.text}) assigns a list to '{given.name}', which is {given.type}"
        yield Problem(message, mapping.location, expected=f"${source.attribute}[0] for one element")
    elif taken.type in ("hash", "object") and given.type not in ("hash", "object"):
        message = f"attribute mapping ({mapping.text}) assigns a map to '{given.name}', which is {given.type}"
        yield Problem(message, mapping.location, expected=f"${source.attribute}[key] for one value")


def _source_problems(term: AttributeTerm, type_: str, mapping: AttributeMapping, scope: Scope) -> Iterator[Problem]:
    if term.of_node:
        if term.attribute not in NODE_ATTRIBUTES:
            message = f"attribute mapping ({mapping.text}): nodes have no attribute '{term.attribute}'"
            yield Problem(message, mapping.location, nearest=nearest(term.attribute, NODE_ATTRIBUTES))
        return
    yield from _term_problems(term, type_, mapping, scope)


def _term_problems(term: AttributeTerm, type_: str, mapping: AttributeMapping, scope: Scope) -> Iterator[Problem]:
    if not scope.attributes_known(type_):
        return
    found = _attribute(term.attribute, type_, scope)
    if found is None:
        message = f"attribute mapping ({mapping.text}): '{type_}' has no attribute '{term.attribute}'"
        yield Problem(message, mapping.location, nearest=nearest(term.attribute, _attributes(type_, scope)))
    elif term.with_offset and found.type not in ("port", "integer"):
        message = f"attribute mapping ({mapping.text}): '{term.attribute}' is {found.type}"
        yield Problem(message, mapping.location, expected="a port or an integer, to which port_offset is added")
    elif term.key and is_list_type(found.type) and term.key.isdigit() and term is mapping.source:
        return  # an element of a list
    elif term.key and found.type not in _WITH_KEYS:
        message = f"attribute mapping ({mapping.text}): '{term.attribute}' is {found.type} and has no keys"
        yield Problem(message, mapping.location, expected="an attribute of type hash")


def _destination_problems(mapping: AttributeMapping, type_: str, scope: Scope) -> Iterator[Problem]:
    term = mapping.destination
    yield from _term_problems(term, type_, mapping, scope)
    found = _attribute(term.attribute, type_, scope)
    if found and found.constant:
        yield Problem(f"attribute mapping ({mapping.text}): '{term.attribute}' is constant", mapping.location)
    if found and found.is_computed:
        message = f"attribute mapping ({mapping.text}): '{term.attribute}' is dynamic: its value comes from an action"
        yield Problem(message, mapping.location)


def _attributes(type_: str, scope: Scope) -> Mapping[str, Attribute]:
    component = scope.component(type_)
    return component.attributes if component else {}


def _attribute(name: str, type_: str, scope: Scope) -> Attribute | None:
    return _attributes(type_, scope).get(name)


def _output_problems(component: Component) -> Iterator[Problem]:
    dynamic = [name for name, attribute in component.attributes.items() if attribute.dynamic]
    for action in component.actions.values():
        for output in action.outputs:
            declared = component.attributes.get(output.attribute)
            if declared is None:
                message = f"output '{output.attribute}' is not an attribute of '{component.type}'"
                yield Problem(message, output.location, nearest=nearest(output.attribute, dynamic))
            elif not declared.dynamic:
                message = f"output '{output.attribute}' is not declared dynamic"
                yield Problem(message, output.location, expected=f"dynamic: true for attribute '{output.attribute}'")


def cycle_problems(components: Mapping[str, Component]) -> Iterator[Problem]:
    """Yield the cycles among components that need each other, or run after each other, on the same node."""
    needs = {
        type_: {other.component: other.location for other in (*found.dependencies, *found.after)}
        for type_, found in components.items()
    }
    for type_, needed in needs.items():
        needed.pop(type_, None)  # a component that needs itself is reported where it is named
    while circle := _circle(needs):
        # Remove the edge, so that the next cycle can be found.
        location = needs[circle[0]].pop(circle[1])
        yield Problem(f"dependencies form a cycle: {' -> '.join(circle)}", location)


def _circle(needs: Mapping[str, Mapping[str, Location]]) -> list[str]:
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return []


def unproduced_attributes(module: Module) -> list[Problem]:
    """Return warnings for dynamic attributes that no action of their component sets."""
    return [
        Problem(f"dynamic attribute '{name}' of '{component.type}' is in no action's outputs", attribute.location)
        for component in module.components.values()
        for name, attribute in component.attributes.items()
        if attribute.dynamic and not any(name == output.attribute for output in _all_outputs(component))
    ]


def _all_outputs(component: Component) -> list[Output]:
    return [output for action in component.actions.values() for output in action.outputs]

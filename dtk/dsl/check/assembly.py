"""Semantic checks of assemblies: components, attribute values, link targets, items of stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dtk.dsl.check.assembly_values import fit_problem, node_problems, secret_use_problems, value_problems
from dtk.dsl.check.outputs import output_problems
from dtk.dsl.check.scope import Scope
from dtk.dsl.check.template import Names
from dtk.dsl.check.workflow import call_problems, workflow_problems
from dtk.dsl.template.assembly import templates_in
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.module import Assembly, Attribute, Component, ComponentUse, LinkDef
from dtk.model.names import ASSEMBLY_WIDE, CREATE, ComponentName
from dtk.model.suggestion import nearest
from dtk.model.types import coerce


def assembly_problems(
    assembly: Assembly, scope: Scope, *, complete: bool, attributes_known: bool = True
) -> Iterator[Problem]:
    """Yield the problems of an assembly.

    Args:
        assembly: the assembly.
        scope: the components that it can name.
        complete: whether all components on its nodes are known; if not, missing ones are not reported.
        attributes_known: whether all its attributes are known; templates in its values use them.
    """
    uses_by_node = _uses_by_node(assembly)
    values = AssemblyScope(assembly.attributes, complete=attributes_known)
    yield from _dynamic_problems(assembly)
    for declared in assembly.nodes.values():
        yield from node_problems(declared, values.attributes, values.names)
    for node, uses in uses_by_node.items():
        for use in uses.values():
            yield from use_problems(use, node, scope, values)
            if complete:
                yield from _links_problems(use, uses_by_node, scope)
    for use in assembly.components:
        if str(use.name) in assembly.nodes:
            message = (
                f"node '{use.name}' has the same name as an assembly-wide component: attribute paths would be ambiguous"
            )
            yield Problem(message, assembly.nodes[str(use.name)].location)
    if complete and attributes_known:
        yield from output_problems(assembly, scope)
    standing = {node: tuple(names) for node, names in uses_by_node.items()} if complete else None
    found: list[Problem] = []
    for workflow in assembly.workflows.values():
        found += call_problems(workflow, assembly.workflows, scope)
        found += workflow_problems(workflow, standing, scope)
    yield from dict.fromkeys(found)  # report problems of a called workflow once


_UsesByNode = dict[str, dict[ComponentName, ComponentUse]]


def _uses_by_node(assembly: Assembly) -> _UsesByNode:
    """Return the component uses by node."""
    uses_by_node = {ASSEMBLY_WIDE: {use.name: use for use in assembly.components}}
    return uses_by_node | {node.name: {use.name: use for use in node.components} for node in assembly.nodes.values()}


@dataclass(frozen=True)
class AssemblyScope:
    """The assembly's attributes, for templates in values; not ``complete`` if some of them are malformed."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    complete: bool = True

    @property
    def names(self) -> Names:
        """The names that a template can use."""
        return Names(tuple(self.attributes), on_node=False, complete=self.complete, of_assembly=True)


def _dynamic_problems(assembly: Assembly) -> Iterator[Problem]:
    for attribute in assembly.attributes.values():
        if attribute.dynamic:
            message = f"attribute '{attribute.name}' of the assembly cannot be dynamic: no action sets it"
            yield Problem(message, attribute.location)


def use_problems(use: ComponentUse, node: str, scope: Scope, values: AssemblyScope) -> Iterator[Problem]:
    """Yield the problems of a component use: its name and title, its node, its attribute values."""
    unknown = scope.unknown(use.name.type, use.location)
    if unknown:
        yield unknown
    component = scope.component(use.name.type)
    if component is None:
        return
    yield from _title_problems(use, component)
    yield from _place_problems(use, component, node)
    if scope.attributes_known(component.type):
        yield from _setting_problems(use, component, values)


def _title_problems(use: ComponentUse, component: Component) -> Iterator[Problem]:
    if component.singleton and use.name.title:
        message = f"component '{component.type}' takes no title: it is a singleton, at most one on a node"
        yield Problem(
            message, use.location, expected=f"'{component.type}', or singleton: false in the component's definition"
        )
    if not component.singleton and not use.name.title:
        message = f"component '{component.type}' needs a title"
        yield Problem(message, use.location, expected=f"{component.type}[title]")


def _place_problems(use: ComponentUse, component: Component, node: str) -> Iterator[Problem]:
    create = component.actions.get(CREATE)
    if create is None:
        return
    if node == ASSEMBLY_WIDE and create.items:
        message = f"component '{use.name}' needs a node: its create action runs {create.provider}"
        yield Problem(
            message, use.location, expected="an assembly-wide component with compute, or with no create action"
        )
    if node != ASSEMBLY_WIDE and create.provider == "compute":
        message = f"component '{use.name}' has a compute action, so it cannot be on a node"
        yield Problem(message, use.location, expected="the component under the assembly's own components")


def _setting_problems(use: ComponentUse, component: Component, values: AssemblyScope) -> Iterator[Problem]:
    for name, value in use.attributes.items():
        location = use.locations[name]
        attribute = component.attributes.get(name)
        if attribute is None:
            message = f"Bad attribute ({use.name}/{name}) in assembly template"
            yield Problem(message, location, nearest=nearest(name, component.attributes))
        elif name == "name" and not component.singleton:
            yield Problem(f"attribute 'name' of '{component.type}' is its title and can't be set", location)
        elif attribute.constant:
            yield Problem(f"attribute '{name}' of '{component.type}' is constant and cannot be set", location)
        elif attribute.is_computed:
            message = f"attribute '{name}' of '{component.type}' is dynamic: its value comes from an action"
            yield Problem(message, location)
        elif value is not None:
            yield from _value_problems(attribute, value, use, location, values)


def _value_problems(
    attribute: Attribute, value: Json, use: ComponentUse, location: Location, values: AssemblyScope
) -> Iterator[Problem]:
    if any(True for _ in templates_in(value)):
        yield from _template_problems(attribute, value, use, location, values)
        return
    try:
        coerce("string" if attribute.secret else attribute.type, value)
    except ValueError as error:
        detail = "" if attribute.hidden or attribute.secret else f": {error}"
        message = f"The value of '{use.name}/{attribute.name}' is not of type {attribute.type}{detail}"
        yield Problem(message, location, private=not detail)


def _template_problems(
    attribute: Attribute, value: Json, use: ComponentUse, location: Location, values: AssemblyScope
) -> Iterator[Problem]:
    found = value_problems(value, values.names, location) or [*secret_use_problems(value, values.attributes, location)]
    yield from found
    if not found and values.complete:
        where = f"{use.name}/{attribute.name}"
        problem = fit_problem(value, attribute, values.attributes, where, location)
        if problem:
            yield problem


def _links_problems(use: ComponentUse, uses_by_node: _UsesByNode, scope: Scope) -> Iterator[Problem]:
    component = scope.component(use.name.type)
    if component is not None and scope.attributes_known(component.type):
        for name, targets in use.links.items():
            yield from _link_problems(use, component, name, targets, uses_by_node)


def _link_problems(
    use: ComponentUse, component: Component, name: str, targets: tuple[str, ...], uses_by_node: _UsesByNode
) -> Iterator[Problem]:
    location = use.locations[name]
    link = next((link for link in component.links if link.name == name), None)
    if link is None:
        message = f"Undefined component link reference: '{component.type}' has no link '{name}'"
        yield Problem(message, location, nearest=nearest(name, [link.name for link in component.links]))
        return
    if link.required and not targets:
        message = f"link '{name}' of '{component.type}' is required and cannot be omitted"
        yield Problem(message, location, expected=f"node/{link.component}")
    for target in targets:
        yield from _target_problems(link, target, location, uses_by_node)


def _target_problems(link: LinkDef, target: str, location: Location, uses_by_node: _UsesByNode) -> Iterator[Problem]:
    node, _, text = target.rpartition("/")
    found = ComponentName.parse(text)
    if found is None:
        return
    if found.type != link.component:
        message = f"link '{link.name}' goes to '{link.component}', not to '{found.type}'"
        yield Problem(message, location)
    elif found not in uses_by_node.get(node or ASSEMBLY_WIDE, {}):
        known = [
            _shown(other, name) for other, uses in uses_by_node.items() for name in uses if name.type == link.component
        ]
        message = f"link target '{target}' refers to a component instance that does not exist"
        yield Problem(message, location, expected=" or ".join(known), nearest=nearest(target, known))


def _shown(node: str, name: ComponentName) -> str:
    return str(name) if node == ASSEMBLY_WIDE else f"{node}/{name}"

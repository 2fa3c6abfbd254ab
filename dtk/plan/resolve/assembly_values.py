"""The values of an assembly's attributes in a service, and the rendered templates that use them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateSyntaxError

from dtk.dsl.check.assembly_values import NODE_TYPES, check_typed, kind_of
from dtk.dsl.template.assembly import is_value_template, names_in, rendered, templates_in
from dtk.dsl.template.rendering import TemplateProblem
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.module import Assembly, Attribute, ComponentUse, Node
from dtk.model.service import AttributeSetting, Service
from dtk.model.value import UNSET, Known, Secret, Value, holds_secret, plain
from dtk.plan.resolve.cardinality import CARDINALITY, checked_cardinality
from dtk.plan.resolve.concurrency import MAX_IN_FLIGHT, window_of
from dtk.plan.resolve.overrides import ILLEGAL, REQUIRED


@dataclass(frozen=True)
class FromAssembly:
    """The rendered result of an assembly template; ``UNSET`` if it yields nothing.

    ``names`` are the assembly attributes in the template; ``hidden`` means that one of them is hidden. If the result is
    invalid, ``location`` and ``fix`` say where and how to correct it.
    """

    value: Value
    names: tuple[str, ...]
    location: Location
    hidden: bool = False
    fix: str = ""


@dataclass(frozen=True)
class AssemblyValues:
    """A service's assembly attributes: their values (``UNSET`` for those without one) and where these are set."""

    service: str
    attributes: Mapping[str, Attribute]
    values: Mapping[str, Value]
    settings: Mapping[str, AttributeSetting]
    problems: tuple[Problem, ...] = ()

    def from_assembly(self, value: Json, location: Location) -> FromAssembly:
        """Render the templates in a value.

        Raises:
            TemplateProblem: a template can't be rendered.
        """
        names = tuple(name for name in names_in(value) if name in self.attributes)
        changeable = next((name for name in names if name in self.settings), "")
        return FromAssembly(
            rendered(value, self.values),
            names,
            self.settings[changeable].location if changeable else location,
            hidden=any(self.attributes[name].hidden for name in names),
            fix=f"dtk set-attribute {self.service} {changeable or names[0]} VALUE" if names else "",
        )


def assembly_values(service: Service, assembly: Assembly) -> AssemblyValues:
    """Return the values of an assembly's attributes in a service, with a problem for each invalid one."""
    problems: list[Problem] = []
    settable = {name for name, attribute in assembly.attributes.items() if not attribute.constant}
    settings = {name: setting for name, setting in service.attributes.items() if name in settable}
    values = {}
    for name, attribute in assembly.attributes.items():
        values[name] = _value(service, attribute, settings.get(name), problems)
        if attribute.required and values[name] == UNSET and not any(problem.path == name for problem in problems):
            fix = f"dtk set-attribute {service.name} {name} VALUE"
            message = f"Attribute ({name}) is required, but unset"
            problems.append(Problem(message, service.location, kind=REQUIRED, fix=fix))
    return AssemblyValues(service.name, assembly.attributes, values, settings, tuple(problems))


def _value(service: Service, attribute: Attribute, setting: AttributeSetting | None, problems: list[Problem]) -> Value:
    given = setting.value if setting else attribute.default
    if given is None:
        return UNSET
    try:
        typed = check_typed(attribute, Known(given))
    except ValueError as error:
        private = attribute.hidden or attribute.secret
        reason = "its value" if private else str(error)
        message = f"The provided value for '{attribute.name}' is not {kind_of(attribute)}: {reason}"
        location = setting.location if setting else attribute.location
        fix = f"dtk set-attribute {service.name} {attribute.name} VALUE"
        problems.append(Problem(message, location, attribute.name, kind=ILLEGAL, fix=fix, private=private))
        return UNSET
    return as_secret(typed) if attribute.secret else typed


def as_secret(value: Value) -> Value:
    """Return the reference in a secret attribute as a ``Secret``."""
    return value if value == UNSET or holds_secret(value) else Secret(str(plain(value)))


def assembly_with_values(
    assembly: Assembly, values: AssemblyValues, problems: list[Problem]
) -> tuple[Assembly, dict[str, FromAssembly]]:
    """Return an assembly with the templates in its values rendered.

    Returns:
        The assembly, and the node attributes derived from its attributes, by path (``slaves/cardinality``).
    """
    given: dict[str, FromAssembly] = {}
    nodes = {name: _node_with_values(node, values, given, problems) for name, node in assembly.nodes.items()}
    return replace(assembly, nodes=nodes, components=_uses(assembly.components, values, problems)), given


def service_with_values(service: Service, values: AssemblyValues, problems: list[Problem]) -> Service:
    """Return a service with the templates in its added components rendered."""
    components = {node: _uses(uses, values, problems) for node, uses in service.components.items()}
    return replace(service, components=components)


def _uses(uses: Iterable[ComponentUse], values: AssemblyValues, problems: list[Problem]) -> tuple[ComponentUse, ...]:
    return tuple(_with_values(use, values, problems) for use in uses)


def _with_values(use: ComponentUse, values: AssemblyValues, problems: list[Problem]) -> ComponentUse:
    """Return a component use with its templates rendered: each value with templates becomes a ``FromAssembly``."""
    attributes: dict[str, Any] = {
        name: _rendered(value, use.locations.get(name, use.location), values, problems)
        for name, value in use.attributes.items()
    }
    return replace(use, attributes=attributes) if attributes else use


def _rendered(value: Json, location: Location, values: AssemblyValues, problems: list[Problem]) -> Json | FromAssembly:
    if next(templates_in(value), None) is None:
        return value
    try:
        return values.from_assembly(value, location)
    except TemplateProblem as problem:
        problems.append(replace(problem.at(location), kind=ILLEGAL))
    except TemplateSyntaxError:
        pass  # reported where the value was checked
    return FromAssembly(UNSET, (), location)


def _node_with_values(
    node: Node, values: AssemblyValues, given: dict[str, FromAssembly], problems: list[Problem]
) -> Node:
    attributes = dict(node.attributes)
    of_group = {CARDINALITY: node.cardinality, MAX_IN_FLIGHT: node.max_in_flight}
    for name, value in {**node.attributes, **of_group}.items():
        found = _rendered(value, node.locations.get(name, node.location), values, problems)
        if not isinstance(found, FromAssembly):
            continue
        typed = _typed(f"{node.name}/{name}", name, found, problems)
        if typed is None:
            attributes.pop(name, None)
        else:
            attributes[name] = typed
            given[f"{node.name}/{name}"] = found
    number = attributes.pop(CARDINALITY, node.cardinality)
    cardinality = number if isinstance(number, int) else 1
    given_window = attributes.pop(MAX_IN_FLIGHT, None)
    window = window_of(given_window) if given_window is not None else None
    window = window if is_value_template(node.max_in_flight) else node.max_in_flight
    components = _uses(node.components, values, problems)
    return replace(node, attributes=attributes, cardinality=cardinality, max_in_flight=window, components=components)


def _typed(path: str, name: str, found: FromAssembly, problems: list[Problem]) -> Json:
    """Return a node attribute's value as plain data; None if it is unset or invalid."""
    if found.value == UNSET:
        return None
    declared = Attribute(name, found.location, NODE_TYPES.get(name, "json"))
    try:
        typed = plain(check_typed(declared, found.value) if name in NODE_TYPES else found.value)
        if name == MAX_IN_FLIGHT:
            return window_of(typed)
        if name == CARDINALITY:
            return checked_cardinality(typed)
    except ValueError as error:
        reason = "its value" if found.hidden else str(error)
        problems.append(unfit(path, declared, found, reason))
        return None
    return typed


def unfit(path: str, attribute: Attribute, found: FromAssembly, reason: str) -> Problem:
    """Return the problem that a value derived from assembly attributes does not fit an attribute's type."""
    message = f"The value of '{path}', computed from {', '.join(found.names)}, is not {kind_of(attribute)}: {reason}"
    return Problem(message, found.location, path, kind=ILLEGAL, fix=found.fix, private=found.hidden)

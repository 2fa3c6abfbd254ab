"""Semantic checks of templates in an assembly's values: the names they use, and whether their results can fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dtk.dsl.build.attribute import SECRET_REFERENCE
from dtk.dsl.check.template import Names, template_problems
from dtk.dsl.template.assembly import names_in, rendered, secret_problems, sole_name, templates_in, with_defaults
from dtk.dsl.template.rendering import TemplateProblem
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.module import Attribute, Node
from dtk.model.types import coerce, is_list_type
from dtk.model.value import UNSET, Known, Value, holds_secret, plain

ESCAPE = "{% raw %}…{% endraw %} around literal text"

NODE_TYPES = {
    "cardinality": "integer",
    "max_in_flight": "string",
    "root_device_size": "integer",
    "volumes": "array",
    "elastic_ip": "string",
    "dns": "hash",
    "target_groups": "array",
    "tags": "hash",
    "size": "string",
    "image": "string",
    "root_device_type": "string",
    "availability_zone": "string",
    "spot": "boolean",
    "spot_max_price": "string",
    "user_data": "string",
}
"""The types of node attributes, matching the schema of written values."""

TEXT_OR_LIST = "text or list"
_TEXTS_OR_LISTS = ("instance_type", "subnet")
_OF_GROUPS = ("cardinality", "max_in_flight")


def node_attributes(*, is_group: bool) -> dict[str, str]:
    """Return every attribute that a node or a group can have, with its type or ``TEXT_OR_LIST``."""
    types = NODE_TYPES | dict.fromkeys(_TEXTS_OR_LISTS, TEXT_OR_LIST)
    return {name: type_ for name, type_ in types.items() if is_group or name not in _OF_GROUPS}


_HASHES = ("hash", "object")


def value_problems(value: object, names: Names, location: Location) -> list[Problem]:
    """Return the problems of the templates in a value: syntax errors and unknown names."""
    found = (problem for text in templates_in(value) for problem in template_problems(text, names, shell=False))
    return [
        Problem(problem.message, location, nearest=problem.nearest, expected="" if problem.nearest else ESCAPE)
        for problem in found
    ]


def secret_use_problems(value: object, attributes: Mapping[str, Attribute], location: Location) -> Iterator[Problem]:
    """Yield a problem for each secret that a value uses in a computation."""
    secrets = frozenset(name for name, attribute in attributes.items() if attribute.secret)
    for text in templates_in(value):
        for problem in secret_problems(text, secrets):
            yield problem.at(location)


def fit_problem(
    value: Json, attribute: Attribute, attributes: Mapping[str, Attribute], where: str, location: Location
) -> Problem | None:
    """Return the problem of a value that can't have an attribute's type, whatever a service sets.

    Args:
        value: a value with valid templates.
        attribute: the attribute that it sets.
        attributes: the assembly's attributes; if those used have defaults, the value is tried with them.
        where: the attribute's path, for people.
        location: where the value is written.
    """
    given = attributes.get(sole_name(value))
    if given and not attribute.secret and not can_become("string" if given.secret else given.type, attribute.type):
        detail = f"attribute '{given.name}' of the assembly is {given.type}"
        return Problem(f"The value of '{where}' can't be of type {attribute.type}: {detail}", location)
    return _with_defaults(value, attribute, attributes, where, location)


def can_become(given: str, declared: str) -> bool:
    """Return whether a value of one type can be converted to another; a string may contain anything."""
    if "json" in (given, declared) or given == declared or given in ("string", "log_file", "node_template_type"):
        return True
    if is_list_type(given) or given in _HASHES:
        return is_list_type(declared) if is_list_type(given) else declared in _HASHES
    if declared in ("integer", "port"):
        return given in ("integer", "port")
    return declared in ("string", "log_file", "node_template_type")


def _with_defaults(
    value: Json, attribute: Attribute, attributes: Mapping[str, Attribute], where: str, location: Location
) -> Problem | None:
    used = [attributes[name] for name in names_in(value) if name in attributes]
    if any(one.secret or not one.has_default for one in used):
        return None
    private = attribute.hidden or attribute.secret or any(one.hidden for one in used)
    try:
        found = rendered(value, {one.name: Known(one.default) for one in used})
        check_typed(attribute, found)
    except (ValueError, TemplateProblem) as error:
        detail = "" if private else f": {error}"
        defaults = " with the assembly's defaults" if used else ""
        message = f"The value of '{where}'{defaults} is not {kind_of(attribute)}{detail}"
        return Problem(message, location, private=private)
    return None


def kind_of(attribute: Attribute) -> str:
    """Return what a value must be, for people: of a type, or a reference if the attribute is a secret."""
    return "a secret's reference (env:NAME …)" if attribute.secret else f"of type {attribute.type}"


def check_typed(attribute: Attribute, value: Value) -> Value:
    """Return a value converted to an attribute's type; a value that is unset or holds a secret is unchanged.

    Raises:
        ValueError: the value does not have the type, or is not a reference although the attribute is a secret.
    """
    if value == UNSET or holds_secret(value):
        return value
    if attribute.secret and not SECRET_REFERENCE.match(str(plain(value))):
        raise ValueError("it is not a reference such as env:NAME")
    return Known(coerce("string" if attribute.secret else attribute.type, plain(value)))


def node_problems(node: Node, attributes: Mapping[str, Attribute], names: Names) -> Iterator[Problem]:
    """Yield the problems of the templates in a node's own attributes."""
    of_groups = {"cardinality": node.cardinality, "max_in_flight": node.max_in_flight}
    for name, value in {**node.attributes, **of_groups}.items():
        if not any(True for _ in templates_in(value)):
            continue
        location = node.locations.get(name, node.location)
        found = value_problems(value, names, location)
        yield from found
        if found or not names.complete:
            continue
        private = next((attributes[used] for used in names_in(value) if _is_private(attributes.get(used))), None)
        if private:
            kind = "secret" if private.secret else "hidden"
            message = (
                f"{kind} attribute '{private.name}' can't be used in '{node.name}/{name}': dtk shows node attributes"
            )
            yield Problem(message, location)
        elif name in NODE_TYPES:
            requested = Attribute(name, location, NODE_TYPES[name])
            problem = fit_problem(value, requested, attributes, f"{node.name}/{name}", location)
            if problem:
                yield problem
            elif name == "cardinality" and not _is_count(with_defaults(value, attributes)):
                yield Problem(
                    f"The value of '{node.name}/{name}' with the assembly's defaults must be 0 or more", location
                )


def _is_private(attribute: Attribute | None) -> bool:
    return attribute is not None and (attribute.secret or attribute.hidden)


def _is_count(number: Json) -> bool:
    return number is None or str(number).isdigit()

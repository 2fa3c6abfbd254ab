"""Components of a module, built from their document: attributes, dependencies, links, actions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dtk.dsl.build_action import build_actions
from dtk.dsl.cursor import Cursor
from dtk.dsl.mapping import parse_mapping
from dtk.errors import Problem
from dtk.model.module import Attribute, AttributeMapping, Component, Dependency, LinkDef
from dtk.model.names import component_type
from dtk.model.types import coerce

SECRET_REFERENCE = re.compile(r"^(env|file|ssm|secretsmanager):\S+$")
"""Where a secret is to be found (design.md, The module language)."""

# Words that mean something else in templates.
_RESERVED_ATTRIBUTES = frozenset(
    ["node", "dtk", "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"]
)


def build_component(cursor: Cursor, module: str, problems: list[Problem]) -> Component:
    """Return the component at a place of a document.

    Args:
        cursor: the component's definition.
        module: the module's full name.
        problems: takes what is wrong with it.
    """
    return Component(
        name=cursor.name,
        type=component_type(module, cursor.name),
        module=module,
        location=cursor.key_place,
        description=cursor.text("description"),
        attributes={entry.name: build_attribute(entry, problems) for entry in cursor.entries("attributes")},
        dependencies=tuple(_same_node_dependencies(cursor)),
        links=tuple(_links(cursor, problems)),
        actions=build_actions(cursor, problems),
        singleton=cursor.flag("singleton", default=True),
    )


def build_attribute(cursor: Cursor, problems: list[Problem]) -> Attribute:
    """Return the attribute that is declared at a place; its default takes the declared type."""
    default = cursor.get("default")
    attribute = Attribute(
        name=cursor.name,
        location=cursor.key_place,
        type=cursor.text("type", "string"),
        default=None if default is None else default.value,
        has_default=default is not None,
        required=cursor.flag("required"),
        dynamic=cursor.flag("dynamic"),
        hidden=cursor.flag("hidden"),
        constant=cursor.flag("constant"),
        secret=cursor.flag("secret"),
        description=cursor.text("description"),
    )
    problems += _attribute_problems(cursor, attribute)
    return attribute if default is None else _with_default(cursor, default, attribute, problems)


def _attribute_problems(cursor: Cursor, attribute: Attribute) -> Iterator[Problem]:
    if attribute.name in _RESERVED_ATTRIBUTES:
        yield cursor.key_problem(f"an attribute can't be named '{attribute.name}': templates use the word")
    if attribute.constant and not attribute.has_default and cursor.get("default") is None and not cursor.is_partial:
        yield cursor.key_problem(f"constant '{attribute.name}' has no default: nothing else gives it a value")
    if attribute.constant and attribute.dynamic:
        yield cursor.key_problem(f"'{attribute.name}' can't be both constant and dynamic")
    if attribute.secret and attribute.dynamic:
        yield cursor.key_problem(f"'{attribute.name}' can't be both secret and dynamic: dynamic values stand in state")


def _with_default(cursor: Cursor, default: Cursor, attribute: Attribute, problems: list[Problem]) -> Attribute:
    if attribute.default is None:
        return attribute
    if attribute.secret and not SECRET_REFERENCE.match(str(attribute.default)):
        # What is written there may be the secret itself, so it is not shown.
        message = f"the default of secret '{attribute.name}' is not a reference"
        references = "env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME"
        problems.append(default.problem(message, expected=references, private=True))
        return attribute
    if attribute.secret:
        return replace(attribute, default=str(attribute.default))
    try:
        return replace(attribute, default=coerce(attribute.type, attribute.default))
    except (KeyError, ValueError) as error:
        said = "" if attribute.hidden else f": {error}"
        if cursor.get("type") is not None or "type" not in cursor.value:
            problems.append(
                default.problem(
                    f"Attribute ({attribute.name}) has a default that is not of its type ({attribute.type}){said}",
                    private=attribute.hidden,
                )
            )
        return attribute


def _dependencies(cursor: Cursor) -> Iterator[tuple[Cursor, str]]:
    """Yield a component's dependencies as written, each with the type it names."""
    for entry in cursor.entries("dependencies"):
        if isinstance(entry.value, dict):
            yield entry, entry.text("component", entry.name)
        else:
            yield entry, str(entry.value)


def _same_node_dependencies(cursor: Cursor) -> Iterator[Dependency]:
    """Yield the dependencies that no link definition answers (original-dtk.md 2.1.3)."""
    linked = {entry.text("component", entry.name) for entry in cursor.entries("link_defs")}
    for entry, type_ in _dependencies(cursor):
        if type_ not in linked:
            yield Dependency(type_, entry.key_place)


def _links(cursor: Cursor, problems: list[Problem]) -> Iterator[LinkDef]:
    needed = {type_ for _, type_ in _dependencies(cursor)}
    for entry in cursor.entries("link_defs"):
        type_ = entry.text("component", entry.name)
        yield LinkDef(
            name=entry.name,
            component=type_,
            required=entry.flag("required") or type_ in needed,
            same_node=entry.flag("same_node"),
            mappings=tuple(_mappings(entry, problems)),
            location=entry.key_place,
        )


def _mappings(cursor: Cursor, problems: list[Problem]) -> Iterator[AttributeMapping]:
    for entry in cursor.entries("attribute_mappings"):
        try:
            yield parse_mapping(entry.value, entry.place)
        except ValueError as error:
            problems.append(entry.problem(str(error)))

"""Builds a module's components from their document: attributes, dependencies, links, actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from dtk.dsl.build.action import build_actions
from dtk.dsl.build.attribute import build_attribute
from dtk.dsl.build.mapping import parse_mapping
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.module import AttributeMapping, Component, Dependency, LinkDef
from dtk.model.names import component_type


def build_component(cursor: Cursor, module: str, problems: list[Problem]) -> Component:
    """Build the component at a position in a document.

    Args:
        cursor: the component's definition.
        module: the module's full name.
        problems: the list to append problems to.
    """
    return Component(
        name=cursor.name,
        type=component_type(module, cursor.name),
        module=module,
        location=cursor.key_location,
        description=cursor.text("description"),
        attributes={entry.name: build_attribute(entry, problems) for entry in cursor.entries("attributes")},
        dependencies=tuple(_same_node_dependencies(cursor)),
        links=tuple(_links(cursor, problems)),
        after=tuple(Dependency(str(entry.value), entry.location) for entry in cursor.entries("after")),
        actions=build_actions(cursor, problems),
        singleton=cursor.flag("singleton", default=True),
    )


def _dependencies(cursor: Cursor) -> Iterator[tuple[Cursor, str]]:
    """Yield a component's dependencies as written, each with its component type."""
    for entry in cursor.entries("dependencies"):
        if isinstance(entry.value, dict):
            yield entry, entry.text("component", entry.name)
        else:
            yield entry, str(entry.value)


def _same_node_dependencies(cursor: Cursor) -> Iterator[Dependency]:
    """Yield the dependencies without a matching link definition (docs/original.md 4.3)."""
    linked = {entry.text("component", entry.name) for entry in cursor.entries("link_defs")}
    for entry, type_ in _dependencies(cursor):
        if type_ not in linked:
            yield Dependency(type_, entry.key_location)


def _order(link: Cursor) -> Literal["after", "before", ""]:
    written = link.text("order")
    return "after" if written == "after" else "before" if written == "before" else ""


def _links(cursor: Cursor, problems: list[Problem]) -> Iterator[LinkDef]:
    needed = {type_ for _, type_ in _dependencies(cursor)}
    for entry in cursor.entries("link_defs"):
        type_ = entry.text("component", entry.name)
        yield LinkDef(
            name=entry.name,
            component=type_,
            required=entry.flag("required") or type_ in needed,
            same_node=entry.flag("same_node") or entry.text("location") == "local",
            other_node=entry.text("location") == "remote",
            order=_order(entry),
            include_self=entry.flag("include_self", default=True),
            optional=entry.flag("optional"),
            mappings=tuple(_mappings(entry, problems)),
            location=entry.key_location,
        )


def _mappings(cursor: Cursor, problems: list[Problem]) -> Iterator[AttributeMapping]:
    for entry in cursor.entries("attribute_mappings"):
        try:
            yield parse_mapping(entry.value, entry.location)
        except ValueError as error:
            problems.append(entry.problem(str(error)))

"""Builds a module's assemblies from their document: nodes, component uses, workflows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from dtk.dsl.build.attribute import build_attribute
from dtk.dsl.build.workflow import build_workflow, unknown_node
from dtk.dsl.build.workflow_calls import with_calls
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.span import DocumentPath
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.module import Assembly, ComponentUse, Node
from dtk.model.names import ASSEMBLY_WIDE, ComponentName
from dtk.model.output import AssemblyOutput
from dtk.model.written import as_written

_IMAGE_AND_SIZE = re.compile(r"^(.+)-((?:[^-{]|\{\{[^{}]*\}\})+)$")
"""An image and a size, ``ubuntu_24_04-small``; a template in the size may contain a dash."""

_OF_GROUPS = ("cardinality", "max_in_flight")


def build_assembly(cursor: Cursor, name: str, module: str, problems: list[Problem]) -> Assembly:
    """Build the assembly at a position in a document.

    Args:
        cursor: the assembly's definition: an entry of ``assemblies``, or a whole file.
        name: the assembly's name.
        module: the module's full name.
        problems: the list to append problems to.
    """
    bindings = {entry.name: entry for entry in cursor.entries("node_bindings")}
    nodes = {entry.name: build_node(entry, problems, bindings.get(entry.name)) for entry in cursor.entries("nodes")}
    names = _node_names(cursor)
    problems += [p for binding in bindings.values() if (p := unknown_node(binding, binding.name, names, at_key=True))]
    workflows = {entry.name: build_workflow(entry, names, problems) for entry in cursor.entries("workflows")}
    return Assembly(
        name=name,
        module=module,
        location=cursor.key_location,
        description=cursor.text("description"),
        attributes={entry.name: build_attribute(entry, problems) for entry in cursor.entries("attributes")},
        components=build_uses(cursor.get("components"), problems),
        nodes=nodes,
        outputs={one.name: AssemblyOutput(one.name, str(one.value), one.location) for one in cursor.entries("outputs")},
        workflows=with_calls(workflows, problems, complete=_is_whole(cursor, "workflows")),
    )


def _is_whole(cursor: Cursor, key: str) -> bool:
    """Return whether the schema accepted everything directly below a key."""
    below = cursor.get(key)
    return not cursor.is_partial and not (below and below.is_partial)


def all_uses_are_known(cursor: Cursor) -> bool:
    """Return whether the schema accepted all parts of an assembly that decide which components are where."""
    depth = len(cursor.path)
    inside = [path[depth:] for path in cursor.broken if path[:depth] == cursor.path]
    return not any(_hides_a_component(path) for path in inside)


def _hides_a_component(path: DocumentPath) -> bool:
    """Return whether a refused part of an assembly may be or contain a component use."""
    if len(path) > 2 and path[0] == "nodes":
        return path[2] != "attributes" and len(path) <= len(("nodes", "NODE", "components", 0, "COMPONENT"))
    if path and path[0] == "components":
        return len(path) <= len(("components", 0, "COMPONENT"))
    return 0 < len(path) <= (2 if path[0] == "nodes" else 1)


def _node_names(cursor: Cursor) -> tuple[str, ...] | None:
    """Return the names of an assembly's nodes, including malformed ones; None if they can't be known."""
    nodes = cursor.value.get("nodes")
    known = isinstance(nodes, dict) and not cursor.is_partial
    return tuple(nodes) if known else () if nodes is None and not cursor.is_partial else None


def _bound(cursor: Cursor | None) -> dict[str, Json]:
    """Return the machine attributes in a node's binding (docs/original.md 4.5: ``amazon_hvm-medium``)."""
    if cursor is None:
        return {}
    if isinstance(cursor.value, dict):
        return {entry.name: str(entry.value) for entry in cursor.entries()}
    found = _IMAGE_AND_SIZE.match(str(cursor.value))
    return {"image": found[1], "size": found[2]} if found else {}


def build_node(cursor: Cursor, problems: list[Problem], binding: Cursor | None = None) -> Node:
    """Build the node or node group at a position in a document; ``binding`` sets its image and size."""
    if cursor.name == ASSEMBLY_WIDE:
        problems.append(
            cursor.key_problem(
                f"a node cannot be named {ASSEMBLY_WIDE}: the name is reserved for components without a node"
            )
        )
    written = list(cursor.entries("attributes"))
    bound = _bound(binding)
    attributes = {**bound, **{entry.name: as_written(entry.value) for entry in written}}
    locations = {**_bound_places(binding, bound), **{entry.name: entry.key_location for entry in written}}
    kind = attributes.pop("type", "")
    for entry in written:
        if entry.name in _OF_GROUPS and not kind:
            message = f"'{cursor.name}' is a single node, but {entry.name} is only valid for groups"
            problems.append(entry.key_problem(message, expected="type: group"))
    return Node(
        name=cursor.name,
        location=cursor.key_location,
        is_group=kind == "group",
        cardinality=_number(attributes.pop("cardinality", 1)),
        max_in_flight=cast("int | str | None", attributes.pop("max_in_flight", None)),
        attributes=attributes,
        components=build_uses(cursor.get("components"), problems),
        locations=locations,
    )


def _bound_places(binding: Cursor | None, bound: Iterable[str]) -> dict[str, Location]:
    if binding is None:
        return {}
    inner = {entry.name: entry.key_location for entry in binding.entries()} if isinstance(binding.value, dict) else {}
    return {name: inner.get(name, binding.location) for name in bound}


def _number(cardinality: Json) -> int | str:
    text = str(cardinality)
    return int(text) if text.isdigit() else text


def build_uses(cursor: Cursor | None, problems: list[Problem]) -> tuple[ComponentUse, ...]:
    """Build the component uses in a list; each instance may occur once."""
    uses: dict[ComponentName, ComponentUse] = {}
    for entry in cursor.entries() if cursor else ():
        use = _use(entry)
        if use is None:
            continue
        if use.name in uses:
            first = uses[use.name].location.line
            problems.append(entry.problem(f"component '{use.name}' is already here, in line {first}"))
        else:
            uses[use.name] = use
    return tuple(uses.values())


def _use(cursor: Cursor) -> ComponentUse | None:
    body = None if isinstance(cursor.value, str) else next(cursor.entries(), None)
    name = ComponentName.parse(body.name if body else str(cursor.value))
    if name is None:
        return None
    if body is None:
        return ComponentUse(name, cursor.location)
    attributes, links = list(body.entries("attributes")), list(body.entries("component_links"))
    return ComponentUse(
        name=name,
        location=body.key_location,
        attributes={entry.name: entry.value for entry in attributes},
        links={entry.name: _targets(entry) for entry in links},
        locations={entry.name: entry.key_location for entry in [*attributes, *links]},
    )


def _targets(cursor: Cursor) -> tuple[str, ...]:
    if cursor.value is None:
        return ()
    return tuple(cursor.value) if isinstance(cursor.value, list) else (str(cursor.value),)

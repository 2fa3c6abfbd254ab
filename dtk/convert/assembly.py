"""Converts the original's assemblies. Source: docs/original.md 4.5 and 4.7."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dtk.convert.attributes import attributes
from dtk.convert.reach import Reach
from dtk.convert.section import Notes, Section, names, type_name
from dtk.convert.workflow import WorkflowContext, shared_workflows, workflows
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json
from dtk.model.names import is_node_name
from dtk.model.written import as_written

_NODE_COMPONENT = re.compile(r"^(?P<type>(?:ec2::)?node|(?:ec2::)?node_group)\[(?P<name>[^\]]+)\]$")
_RENAMED = {"instance_size": "size", "memory_size": "size", "os_identifier": "image"}
_KNOWN = ("type", "cardinality", "size", "image", "root_device_size")
_TARGET = re.compile(r"^(?:[A-Za-z][A-Za-z0-9_-]*/)?[A-Za-z][A-Za-z0-9_:-]*(?:\[[^\[\]/]+\])?$")


@dataclass(frozen=True)
class _Nodes:
    """The nodes of an assembly while it is converted, with its notes and what it can name."""

    nodes: dict[str, Any]
    notes: Notes
    reach: Reach


def assembly(cursor: Cursor, notes: Notes, reach: Reach, shared: Sequence[Cursor] = ()) -> dict[str, Any]:
    """Return an assembly, from a file of a 2015 service module or an entry of a unified module of the original.

    ``reach`` is what the assembly can name; ``shared`` are the workflow files of its module, for all assemblies.
    """
    outer = Section(cursor, notes)
    for key in ("name", "dsl_version"):
        outer.take(key)
    inner = outer.take("assembly")
    body = Section(inner, notes) if inner is not None and isinstance(inner.value, dict) else outer
    made: dict[str, Any] = {}
    description = outer.text("description")
    if description:
        made["description"] = description
    declared = attributes(body.take("attributes"), notes)
    if declared:
        made["attributes"] = declared
    into = _Nodes({}, notes, reach)
    wide = _uses(body.take("components"), into)
    if wide:
        made["components"] = wide
    for entry in body.entries("nodes"):
        _node(entry.name, entry, entry, into)
    _bindings(outer, into.nodes)
    if into.nodes:
        made["nodes"] = into.nodes
    context = WorkflowContext(notes, _everything(made), reach)
    found = shared_workflows(shared, context) | workflows(outer, context)
    found |= workflows(body, context) if body is not outer else {}
    if found:
        made["workflows"] = found
    outer.leave("target", "choose the target when you stage the assembly (--target)")
    body.close()
    if body is not outer:
        outer.close()
    return made


def _everything(made: dict[str, Any]) -> set[str]:
    uses = [*made.get("components", ()), *(u for n in made.get("nodes", {}).values() for u in n.get("components", ()))]
    return {use if isinstance(use, str) else next(iter(use)) for use in uses}


def _uses(cursor: Cursor | None, into: _Nodes) -> list[Json]:
    """Return component uses; later modules wrote nodes as components, such as ``node[n1]``."""
    made: list[Any] = []
    for name, entry, body in names(cursor):
        node = _NODE_COMPONENT.match(name)
        if node is None and into.reach.has(_type_of(name), entry, into.notes):
            made.append(_use(type_name(name), body, into))
        elif node is not None and body is not None:
            _node(node["name"], entry, body, into, is_group=node["type"].endswith("group"))
        elif node is not None:
            into.nodes[node["name"]] = {}
    return made


def _type_of(target: str) -> str:
    """Return the component type of a use or a target: ``cmp``, ``cmp[title]`` or ``node/cmp[title]``."""
    return target.rpartition("/")[2].partition("[")[0]


def _use(name: str, body: Cursor | None, into: _Nodes) -> Json:
    if body is None or not isinstance(body.value, dict):
        return name
    section, notes = Section(body, into.notes), into.notes
    made: dict[str, Any] = {}
    given = {entry.name: as_written(entry.value) for entry in section.entries("attributes") if entry.value is not None}
    if given:
        made["attributes"] = given
    links = _links(section.take("component_links", "service_links", "links"), into)
    if links:
        made["component_links"] = links
    section.leave("attribute_info", "attribute_info (tags) has no counterpart")
    inner = section.take("components")
    if inner is not None:
        notes.add(inner, f"components inside '{name}' are left out: only nodes can have components")
    section.close()
    return {name: made} if made else name


def _links(cursor: Cursor | None, into: _Nodes) -> dict[str, Json]:
    made: dict[str, Any] = {}
    notes = into.notes
    if cursor is None:
        return made
    parts = cursor.entries() if isinstance(cursor.value, list) else [cursor]
    for part in parts:
        if not isinstance(part.value, dict):
            notes.add(part, f"the link '{part.value}' matches no dependency and is left out")
            continue
        for entry in part.entries():
            targets = entry.value if isinstance(entry.value, list) else [entry.value]
            good = [type_name(str(target)) for target in targets if _TARGET.match(str(target))]
            if len(good) < len(targets):
                notes.add(entry, f"the link to '{entry.value}' is left out: its target is in another service")
            good = [target for target in good if into.reach.has(_type_of(target), entry, notes)]
            if good and ("::" not in entry.name or into.reach.has(entry.name, entry, notes)):
                made[type_name(entry.name)] = good if len(good) > 1 else good[0]
    return made


def _node(name: str, entry: Cursor, cursor: Cursor, into: _Nodes, *, is_group: bool = False) -> None:
    nodes, notes = into.nodes, into.notes
    if not is_node_name(name):
        notes.add(entry, f"'{name}' is not a valid node name; the node and its components are left out")
        return
    made: dict[str, Any] = {}
    if isinstance(cursor.value, dict):
        section = Section(cursor, notes)
        given = _node_attributes(section.take("attributes"), notes)
        given |= {"type": "group"} if is_group else {}
        if "cardinality" in given and "type" not in given:
            given["type"] = "group"
        made |= {"attributes": given} if given else {}
        components = _uses(section.take("components"), into)
        made |= {"components": components} if components else {}
        section.close()
    nodes[name] = made


def _node_attributes(cursor: Cursor | None, notes: Notes) -> dict[str, Json]:
    made: dict[str, Any] = {}
    for entry in cursor.entries() if cursor else ():
        name = _RENAMED.get(entry.name, entry.name)
        if name not in _KNOWN:
            notes.add(entry, f"the node attribute '{entry.name}' has no counterpart and is left out")
        elif entry.value is not None:
            made[name] = str(entry.value) if name in ("size", "image") else as_written(entry.value)
    return made


def _bindings(section: Section, nodes: dict[str, Any]) -> None:
    """Convert node templates such as ``amazon_hvm-medium`` to the image and size of each node."""
    for entry in section.entries("node_bindings"):
        image, dash, size = str(entry.value).rpartition("-")
        if entry.name not in nodes or not dash:
            section.notes.add(entry, f"the node binding '{entry.name}: {entry.value}' is left out")
            continue
        attributes_of = nodes[entry.name].setdefault("attributes", {})
        attributes_of.setdefault("image", image)
        attributes_of.setdefault("size", size)
        nodes[entry.name] = {"attributes": attributes_of, **nodes[entry.name]}

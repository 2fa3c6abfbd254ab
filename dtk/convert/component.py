"""Converts the original's components."""

from __future__ import annotations

from typing import Any

from dtk.convert.actions import ComponentContext, actions
from dtk.convert.attributes import attributes
from dtk.convert.links import dependencies_and_links
from dtk.convert.reach import Reach
from dtk.convert.section import Notes, Section, names, type_name
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json
from dtk.model.names import CREATE

_DEFINITION = "puppet_definition"


def component(cursor: Cursor, notes: Notes, reach: Reach, *, on_node: bool) -> dict[str, Json]:
    """Return a component. Source: docs/original.md 4.1.

    Args:
        cursor: the definition in the original.
        notes: collects what can't be converted.
        reach: what the component can name.
        on_node: whether an assembly puts it on a node instead of making it assembly-wide.
    """
    if not isinstance(cursor.value, dict):
        notes.add(cursor, "the component has no definition; it becomes one without attributes and actions")
        return {}
    section = Section(cursor, notes)
    made: dict[str, Any] = {}
    description = section.text("description")
    if description:
        made["description"] = description
    declared = attributes(section.take("attributes"), notes)
    if declared:
        made["attributes"] = declared
    made |= dependencies_and_links(section, reach)
    listed = [found for key in ("after", "component_order") for found in names(section.take(key))]
    before = [type_name(name) for name, entry, _ in listed if reach.has(name, entry, notes)]
    if before:
        made["after"] = list(dict.fromkeys(before))
    dynamic = tuple(name for name, attribute in declared.items() if attribute.get("dynamic"))
    done = actions(section, ComponentContext(dynamic, on_node))
    if done:
        made["actions"] = done
    _singleton(section, made, done)
    section.take("includes")  # the module collects their Puppet code
    section.leave("providers", "'providers' has no counterpart: each action contains its own implementation")
    section.take("name") if section.text("name") == cursor.name else None
    section.close()
    return made


def _singleton(section: Section, made: dict[str, Any], done: dict[str, Any]) -> None:
    """Mark a component as not a singleton if the original says so, or if Puppet can declare it several times."""
    written = section.value("singleton", "only_one_per_node")
    is_single = written if isinstance(written, bool) else _DEFINITION not in done.get(CREATE, {})
    if is_single:
        return
    made["singleton"] = False
    if "name" not in made.get("attributes", {}):
        made["attributes"] = {"name": {"type": "string", "description": "The title"}, **made.get("attributes", {})}
        section.notes.add(section.cursor, "the component has titles; the attribute 'name' was added to hold them")

"""Converts the original's dependencies and link definitions."""

from __future__ import annotations

from typing import Any

from dtk.convert.reach import Reach, Standing
from dtk.convert.section import Notes, Section, names, type_name
from dtk.dsl.build.mapping import parse_mapping
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json

_LOCATIONS = ("local", "remote")
_ORDERS = ("after", "before")


def dependencies_and_links(section: Section, reach: Reach) -> dict[str, Json]:
    """Return the keys ``dependencies`` and ``link_defs`` of a component. Source: docs/original.md 4.3.

    A link to a component of a missing module becomes optional, and the component is not a dependency.
    """
    needed, links = _dependencies(section.take("dependencies", "dependency"), section.notes, reach)
    for name, entry, body in names(section.take("link_defs", "link_def")):
        link = _link(name, body, section.notes)
        component = link.pop("component")
        standing = reach.standing(component, entry, section.notes)
        if standing == "unknown":
            continue
        key = link.pop("name", "") or component
        links[key] = {**({"component": component} if key != component else {}), **_as_it_stands(link, standing)}
    made: dict[str, Any] = {}
    if needed:
        made["dependencies"] = list(dict.fromkeys(needed))
    if links:
        made["link_defs"] = links
    return made


def _dependencies(cursor: Cursor | None, notes: Notes, reach: Reach) -> tuple[list[str], dict[str, Json]]:
    needed: list[str] = []
    links: dict[str, Any] = {}
    for name, entry, body in names(cursor):
        link = _link(name, body, notes)
        component = link.pop("component")
        link.pop("name", None)
        standing = reach.standing(component, entry, notes)
        if standing == "there":
            needed.append(component)
        if standing != "unknown" and (link.get("attribute_mappings") or link.get("location") == "remote"):
            links[component] = _as_it_stands(link, standing)
    return needed, links


def _as_it_stands(link: dict[str, Json], standing: Standing) -> dict[str, Json]:
    """Return a link, made optional if the module that it leads to is missing."""
    if standing == "there":
        return link
    return {"optional": True, **{key: value for key, value in link.items() if key != "required"}}


def _link(name: str, body: Cursor | None, notes: Notes) -> dict[str, Any]:
    if body is None:
        return {"component": type_name(name)}
    chosen = body
    if isinstance(body.value, list):
        alternatives = list(body.entries())
        chosen = alternatives[0] if alternatives else body
        for other in alternatives[1:]:
            notes.add(other, f"'{name}' has several alternatives; only the first is used")
    section = Section(chosen, notes)
    choices = section.take("choices")
    if choices is not None:
        notes.add(choices, "choices have no counterpart; the component named by the key is used")
    made: dict[str, Any] = {"component": type_name(section.text("component") or name)}
    made |= {"name": section.text("name", "dependency_name")} if chosen.get("name", "dependency_name") else {}
    made |= _one_of(section, "location", _LOCATIONS) | _one_of(section, "order", _ORDERS)
    if section.value("same_node"):
        made["same_node"] = True
    if section.value("required"):
        made["required"] = True
    mappings = _mappings(section.take("attribute_mappings"), notes)
    if mappings:
        made["attribute_mappings"] = mappings
    section.leave("constraints", "'constraints' have no counterpart: choose the component in the assembly")
    section.leave("preferences", "'preferences' have no counterpart: choose the component in the assembly")
    section.close()
    return made


def _one_of(section: Section, key: str, words: tuple[str, ...]) -> dict[str, str]:
    found = section.take(key)
    if found is None:
        return {}
    if found.value in words:
        return {key: found.value}
    section.notes.add(found, f"{key} '{found.value}' is not one of {', '.join(words)} and is left out")
    return {}


def _mappings(cursor: Cursor | None, notes: Notes) -> list[str]:
    made = []
    for entry in cursor.entries() if cursor else ():
        text = str(entry.value)
        try:
            parse_mapping(text, entry.location)
        except ValueError as error:
            notes.add(entry, f"{error}; it is left out")
            continue
        made.append(text)
    return made

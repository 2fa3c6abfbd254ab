"""Converts the original's attributes."""

from __future__ import annotations

import re
from typing import Any

from dtk.convert.section import Notes, Section
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json
from dtk.model.types import coerce, is_type
from dtk.model.written import as_written

_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_PUPPET_DEFAULT = re.compile(r"^external_ref\(.*\)$")
_FLAGS = ("required", "dynamic", "input", "hidden", "constant")


def attributes(cursor: Cursor | None, notes: Notes) -> dict[str, Any]:
    """Return a component's attributes. Source: docs/original.md 4.2."""
    found: dict[str, Any] = {}
    for entry in cursor.entries() if cursor else ():
        if not _NAME.match(entry.name):
            notes.add(entry, f"'{entry.name}' is not a valid attribute name (letters, digits and _) and is left out")
        elif isinstance(entry.value, dict):
            found[entry.name] = _attribute(entry, notes)
        elif entry.value is None:
            found[entry.name] = {}
        else:
            found[entry.name] = {"type": _type_of(entry.value), "default": as_written(entry.value)}
    return found


def _attribute(cursor: Cursor, notes: Notes) -> dict[str, Json]:
    section = Section(cursor, notes)
    written = section.text("type") or "string"
    made: dict[str, Any] = {"type": written if is_type(written) else "string"}
    if not is_type(written):
        notes.add(cursor, f"unknown type '{written}'; the attribute becomes a string")
    made |= {flag: True for flag in _FLAGS if _is_set(section, flag)}
    default = section.take("default")
    if default is not None:
        made |= _default(default, made["type"], notes)
    if section.text("description"):
        made["description"] = section.text("description")
    _external(section, cursor)
    section.close()
    _repaired(made, cursor, notes)
    return made


def _is_set(section: Section, flag: str) -> bool:
    found = section.take(flag)
    if found is not None and not isinstance(found.value, bool):
        section.notes.add(found, f"'{found.value}' is neither true nor false; '{flag}' becomes false")
    return found is not None and found.value is True


def _default(cursor: Cursor, type_: str, notes: Notes) -> dict[str, Json]:
    if isinstance(cursor.value, str) and _PUPPET_DEFAULT.match(cursor.value):
        return {}  # Puppet's own default applies to attributes without a value, here, too
    if cursor.value is None:
        return {}
    try:
        return {"default": coerce(type_, cursor.value)}
    except ValueError as error:
        notes.add(cursor, f"the default is not of type {type_} and is left out: {error}")
        return {}


def _external(section: Section, cursor: Cursor) -> None:
    found = section.take("external_ref")
    if found is not None and found.value != {"puppet_attribute": cursor.name}:
        section.notes.add(found, f"external_ref is ignored: '{cursor.name}' is passed to Puppet under its own name")


def _repaired(made: dict[str, Json], cursor: Cursor, notes: Notes) -> None:
    if made.get("constant") and "default" not in made:
        del made["constant"]
        notes.add(cursor, "a constant needs a default; this one becomes an ordinary attribute")
    if not made.get("dynamic"):
        made.pop("input", None)  # implied for all attributes that are not dynamic
    if made.get("constant") and made.get("dynamic"):
        del made["constant"]
        notes.add(cursor, "an attribute can't be both constant and dynamic; this one becomes dynamic")


def _type_of(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, dict):
        return "hash"
    return "array" if isinstance(value, list) else "string"

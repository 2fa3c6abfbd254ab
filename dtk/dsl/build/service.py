"""Builds a service.yaml into the model: parsed, validated by its schema, converted to a `Service`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from dtk.dsl.build.assembly import build_node, build_uses
from dtk.dsl.yaml.checked_document import open_document, report
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.names import assembly_name
from dtk.model.service import AttributeSetting, LinkChoice, Service
from dtk.model.written import as_written


def build_service(file: Path, display_root: Path | None = None) -> Service:
    """Read, check and build a service.yaml; see ``dtk.dsl.service.load_service`` for arguments and errors."""
    problems: list[Problem] = []
    checked = open_document(file, "service", display_root, problems)
    cursor = checked.cursor if checked else None
    built = _build(cursor, problems) if cursor and () not in cursor.broken else None
    if cursor:
        problems += _name_problems(cursor, file)
    if problems or built is None:
        message = f"service '{file.parent.name}' is invalid"
        raise report(message, problems, [checked] if checked else [])
    return built


def _name_problems(cursor: Cursor, file: Path) -> Iterator[Problem]:
    written = cursor.get("service") if isinstance(cursor.value, dict) else None
    if written and written.value != file.parent.name:
        message = f"the service is named '{written.value}', but its folder '{file.parent.name}'"
        yield written.problem(message, expected=f"'{file.parent.name}'")


def _build(cursor: Cursor, problems: list[Problem]) -> Service:
    module, assembly = assembly_name(cursor.text("assembly")) or ("", "")
    return Service(
        id=cursor.text("id"),
        digest=_digest(cursor),
        name=cursor.text("service"),
        module=module,
        assembly=assembly,
        target=cursor.text("target"),
        location=cursor.location,
        attributes={e.name: AttributeSetting(e.value, e.key_location) for e in cursor.entries("attributes")},
        components={entry.name: build_uses(entry, problems) for entry in cursor.entries("components")},
        nodes={entry.name: build_node(entry, problems) for entry in cursor.entries("nodes")},
        removed={str(entry.value): entry.location for entry in cursor.entries("removed")},
        access={entry.name: str(entry.value or "") for entry in cursor.entries("access")},
        links={entry.name: _choice(entry) for entry in cursor.entries("links")},
    )


def _digest(cursor: Cursor) -> str:
    """Return the digest of the file's content as written; comments, order and the id are ignored."""
    content = {key: as_written(value) for key, value in cursor.value.items() if key != "id"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _choice(cursor: Cursor) -> LinkChoice:
    value = cursor.value
    targets = value if isinstance(value, list) else () if value is None else (str(value),)
    return LinkChoice(tuple(targets), cursor.key_location)

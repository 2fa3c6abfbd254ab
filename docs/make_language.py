"""Writes the tables of keys in docs/module-language.md from the schemas; a test fails if they are out of date."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCHEMA = json.loads((HERE.parent / "schemas" / "module.schema.json").read_text())
PAGE = HERE / "module-language.md"
TABLE = re.compile(r"<!-- keys: (?P<name>[a-z_ ]+) -->\n.*?<!-- end -->", re.DOTALL)


def definition(name: str) -> dict[str, Any]:
    """Return the part of the schema that a table describes; "node attributes" is the map ``attributes`` of a node."""
    found: dict[str, Any] = SCHEMA if name == "module" else SCHEMA["$defs"][name.partition(" ")[0]]
    for key in name.split()[1:]:
        found = found["properties"][key]
    return found


def keys(part: Any) -> dict[str, dict[str, Any]]:
    """Return every key of a map with its schema, including keys that only some forms of the map have."""
    found: dict[str, dict[str, Any]] = {}
    if isinstance(part, dict):
        found |= part.get("properties", {})
        for word in ("then", "else", "if", "allOf", "anyOf", "oneOf"):
            inner = part.get(word, [])
            for other in inner if isinstance(inner, list) else [inner]:
                found = {**keys(other), **found}
    return {name: value for name, value in found.items() if isinstance(value, dict)}


def described(value: dict[str, Any]) -> str:
    """Return a key's description, or that of the schema it refers to, and its default."""
    said = value.get("description", "")
    if not said and "$ref" in value:
        said = SCHEMA["$defs"][value["$ref"].rpartition("/")[2]].get("description", "")
    default = f" Default: `{json.dumps(value['default'])}`." if "default" in value else ""
    return f"{said}{default}".replace("|", "\\|")


def table(name: str) -> str:
    """Return the table of a part's keys."""
    part = definition(name)
    required = part.get("required", [])
    rows = [
        f"| `{key}`{' (required)' if key in required else ''} | {described(value)} |"
        for key, value in keys(part).items()
    ]
    return "\n".join([f"<!-- keys: {name} -->", "", "| key | |", "|---|---|", *rows, "", "<!-- end -->"])


def page() -> str:
    """Return the page with all its tables."""
    return TABLE.sub(lambda match: table(match["name"]), PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(page())

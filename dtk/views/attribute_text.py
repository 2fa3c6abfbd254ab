"""Attribute values as the original shows them: as table cells, and as the YAML that edit-attributes opens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dtk.model.json_data import Json
from dtk.plan.resolve.rows import AttributeRow
from dtk.views.yaml_text import yaml_text

LONGEST_CELL = 45
REQUIRED = "*REQUIRED*"
_CUT = " ..."


def value_cell(value: Json) -> str:
    """Return a value as a table cell: long texts cut, maps as ``{k=>v}``, arrays as ``[a, b]``.

    Source: docs/original.md 3.3.
    """
    if value is None:
        return ""
    text = _cell(value)
    return text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}{_CUT}"


def _cell(value: Json) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}=>{_cell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_cell(item) for item in value) + "]"
    return str(value)


def attributes_yaml(rows: Iterable[tuple[str, str, str, Json]]) -> str:
    """Return attributes as the original's YAML: ``components:`` and ``nodes:``, with names that end in a slash.

    Args:
        rows: node, component ("" for none), attribute and plain value, in the order of the listing.
    """
    tree: dict[str, Any] = {}
    for node, component, attribute, value in rows:
        subtree = _child(_child(tree, "nodes"), f"{node}/") if node else tree
        if component:
            subtree = _child(_child(subtree, "components"), f"{component}/")
        _child(subtree, "attributes")[attribute] = value
    return yaml_text({key: tree[key] for key in ("attributes", "components", "nodes") if key in tree})


def _child(tree: dict[str, Any], key: str) -> dict[str, Json]:
    child: dict[str, Any] = tree.setdefault(key, {})
    return child


def rows_yaml(rows: list[AttributeRow]) -> str:
    """Return attribute rows as the original's YAML."""
    return attributes_yaml(
        (row.path.partition("/")[0] if row.node else "", row.component, row.attribute, row.value) for row in rows
    )

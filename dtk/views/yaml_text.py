"""Plain data as readable YAML: block style, quotes only where needed, unset values left empty."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dtk.model.json_data import Json
from dtk.model.yaml_flow import looks_like_more, scalar_text


def yaml_text(document: Mapping[str, Json]) -> str:
    """Return a document as YAML that begins with ``---``, like the original's."""
    return "\n".join(["---", *_lines(document, 0)]) + "\n"


def _lines(value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{indent}{_key(str(key))}:", item, depth)
    else:
        for item in value:
            yield from _item(indent, item, depth)


def _entry(head: str, value: Json, depth: int) -> Iterator[str]:
    if isinstance(value, (Mapping, list, tuple)) and value:
        yield head
        yield from _lines(value, depth + (1 if isinstance(value, Mapping) else 0))
    else:
        yield head if value is None else f"{head} {scalar_text(value)}"


def _item(indent: str, value: Json, depth: int) -> Iterator[str]:
    if not isinstance(value, (Mapping, list, tuple)) or not value:
        yield f"{indent}- {scalar_text(value)}"
        return
    first, *others = _lines(value, depth + 1)
    yield f"{indent}- {first.lstrip()}"
    yield from others


def _key(key: str) -> str:
    """Return a key, quoted if needed; a title needs no quotes: brackets mean a list only at the start of a value."""
    return key if key and not looks_like_more(key) else json.dumps(key, ensure_ascii=False)

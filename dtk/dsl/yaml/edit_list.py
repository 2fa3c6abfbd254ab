"""Edits of the lists in service.yaml (added components, removed parts): one item is one line."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from dtk.dsl.yaml.document import Document, parse_document, read_document
from dtk.dsl.yaml.edit import cannot_edit, ended, line_end, replace_text, scalar
from dtk.errors import DtkError
from dtk.model.json_data import Json, as_object
from dtk.state.edit_lock import one_at_a_time

_INDENT = "  "


@one_at_a_time
def add_item(file: Path, path: tuple[str, ...], item: str) -> None:
    """Append a text to a list; create the list and its enclosing map if missing.

    Args:
        file: the document.
        path: the keys that lead to the list: ``("removed",)``, ``("components", "master")``.
        item: the text.

    Raises:
        InvalidError: the file is not YAML.
        DtkError: the file has a form that can't be edited.
    """
    document = read_document(file)
    data = copy.deepcopy(document.data)
    found = _list_at(file, data, path, make=True)
    found.append(item)
    replace_text(file, document, _with_item(document, path, _block_text(item)), data)


@one_at_a_time
def remove_item(file: Path, path: tuple[str, ...], name: str) -> bool:
    """Remove the item that is a text or a map with this single key; also remove lists and maps that become empty.

    Returns:
        Whether the item existed.

    Raises:
        InvalidError, DtkError: as for ``add_item``.
    """
    document = read_document(file)
    data = copy.deepcopy(document.data)
    found = _list_at(file, data, path, make=False)
    index = next((i for i, item in enumerate(found) if item == name or (isinstance(item, dict) and name in item)), None)
    if index is None:
        return False
    del found[index]
    gone: tuple[str | int, ...] = (*path, index)
    while len(gone) > 1 and not _at(data, gone[:-1]):
        gone = gone[:-1]
        _delete(data, gone)
    replace_text(file, document, _without(document, gone), data)
    return True


def _at(data: Json, path: tuple[str | int, ...]) -> Json:
    for key in path:
        data = data[int(key)] if isinstance(data, list) else as_object(data)[str(key)]
    return data


def _delete(data: Json, path: tuple[str | int, ...]) -> None:
    inner = _at(data, path[:-1])
    if isinstance(inner, list):
        inner.pop(int(path[-1]))
    elif isinstance(inner, dict):
        inner.pop(str(path[-1]))


def _list_at(file: Path, data: Json, path: tuple[str, ...], *, make: bool) -> list[Json]:
    """Return the list at a path; with ``make``, create it and its enclosing maps."""
    inner = data
    for key in path:
        if not isinstance(inner, dict):
            raise cannot_edit(file)
        empty: Any = [] if key == path[-1] else {}
        if inner.get(key) is None:
            if not make:
                return []
            inner[key] = empty
        inner = inner[key]
    if not isinstance(inner, list):
        raise cannot_edit(file)
    return inner


def _with_item(document: Document, path: tuple[str, ...], text: str) -> str:
    items = _at(document.data, path) if path in document.values else None
    if not isinstance(items, list) or not items:
        return _with_list(document, path, text)
    span, whole = document.values[path], document.text
    if whole[span.start] == "[":
        return f"{whole[: span.end - 1].rstrip()}, {scalar(text)}{whole[span.end - 1 :]}"
    last = document.values[(*path, len(items) - 1)]
    start = whole.rfind("\n", 0, last.start) + 1
    dash = whole.index("-", start)
    end = line_end(whole, max(last.end - 1, last.start))
    return f"{ended(whole[:end])}{whole[start:dash]}- {text}\n{whole[end:]}"


def _with_list(document: Document, path: tuple[str, ...], text: str) -> str:
    """Write a new list of one item: in its map if that exists, else with its map at the end of the document."""
    whole = document.text
    outer = path[:-1]
    if outer and outer in document.values and _at(document.data, outer):
        span = document.values[outer]
        indent = whole[whole.rfind("\n", 0, span.start) + 1 : span.start]
        end = line_end(whole, max(span.end - 1, span.start))
        return f"{ended(whole[:end])}{indent}{path[-1]}:\n{indent}{_INDENT}- {text}\n{whole[end:]}"
    depth = [f"{_INDENT * level}{key}:\n" for level, key in enumerate(path)]
    return f"{ended(whole)}{''.join(depth)}{_INDENT * len(path)}- {text}\n"


def _without(document: Document, path: tuple[str | int, ...]) -> str:
    whole = document.text
    key, value = document.keys.get(path), document.values[path]
    start = whole.rfind("\n", 0, (key or value).start) + 1
    end = max(value.end, (key or value).end)
    behind = whole[whole.rfind("\n", 0, end) + 1 : end]
    # A block's span may end at the beginning of the next line.
    return whole[:start] + whole[end if not behind.strip() else line_end(whole, end) :]


def _block_text(text: str) -> str:
    """Return a text as an item of a block list, without quotes if YAML reads it as itself."""
    try:
        plain = parse_document(f"- {text}\n", "").data == [text]
    except DtkError:
        plain = False
    return text if plain and text.isprintable() and " #" not in text else scalar(text)

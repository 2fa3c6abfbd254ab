"""Values as JSON: known data unchanged, every placeholder as a map with one marker key.

{"$reference": {"path": "master/dask::scheduler/address", "type": "string"}}
{"$secret": "env:NAME"}
{"$template": "port={{ port }}", "shell": true}
{"$key": {"of": {"$reference": …}, "key": "spark_version"}}
{"$typed": {"type": "port", "of": {"$reference": …}}}
{"$text": ["tcp://", {"$reference": …}, ":8786"]}
{"$joined": [[1, 2], {"$reference": …}]}
{"$literal": {"$text": "really this map"}}                 data that looks like one of these
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from dtk.model.json_data import Json, JsonObject
from dtk.model.value import (
    Element,
    JoinedLists,
    JoinedText,
    Known,
    Reference,
    Secret,
    Sum,
    Template,
    Typed,
    Value,
    ValueList,
    ValueMap,
    list_of,
    map_of,
)

Marked: TypeAlias = Reference | Secret | Template | Element | Typed | JoinedText | Sum | JoinedLists

_LITERAL, _TEMPLATE, _SHELL = "$literal", "$template", "shell"


def value_document(value: Value) -> Json:
    """Return a value as JSON."""
    if isinstance(value, Known):
        return _escaped(value.data)
    if isinstance(value, ValueMap):
        return {key: value_document(item) for key, item in value.items.items()}
    if isinstance(value, ValueList):
        return [value_document(item) for item in value.items]
    mark, body = _marked(value)
    return {mark: body, _SHELL: True} if isinstance(value, Template) and value.shell else {mark: body}


def _marked(value: Marked) -> tuple[str, Json]:
    """Return the marker key of a value that is not known, and its content."""
    if isinstance(value, Reference):
        return "$reference", {"path": value.path, "type": value.type}
    if isinstance(value, (Secret, Template)):
        return ("$secret", value.reference) if isinstance(value, Secret) else (_TEMPLATE, value.text)
    if isinstance(value, Element):
        return "$key", {"of": value_document(value.of), "key": value.key}
    if isinstance(value, Typed):
        return "$typed", {"type": value.type, "of": value_document(value.of)}
    mark = "$text" if isinstance(value, JoinedText) else "$sum" if isinstance(value, Sum) else "$joined"
    return mark, [value_document(piece) for piece in value.pieces]


def _escaped(data: Json) -> Json:
    """Return data escaped so that none of it reads as a marker."""
    if isinstance(data, dict):
        return {_LITERAL: data} if _mark(data) else {key: _escaped(item) for key, item in data.items()}
    return [_escaped(item) for item in data] if isinstance(data, list) else data


def value_of(document: Json) -> Value:
    """Return the value that JSON represents.

    Raises:
        ValueError: the content of a marker is malformed.
    """
    if isinstance(document, dict):
        mark = _mark(document)
        return _READERS[mark](document) if mark else map_of({key: value_of(item) for key, item in document.items()})
    return list_of(map(value_of, document)) if isinstance(document, list) else Known(document)


def _mark(document: Mapping[str, Json]) -> str:
    if len(document) == 1:
        (key,) = document
        return key if key in _READERS else ""
    return _TEMPLATE if document.keys() == {_TEMPLATE, _SHELL} else ""


def _text(value: Json) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is not a text")


def _object(value: Json, *keys: str) -> JsonObject:
    if isinstance(value, dict) and value.keys() == set(keys):
        return value
    raise ValueError(f"{value!r} does not have the keys {', '.join(keys)}")


def _values(value: Json) -> tuple[Value, ...]:
    if isinstance(value, list):
        return tuple(map(value_of, value))
    raise ValueError(f"{value!r} is not a list")


def _reference(document: JsonObject) -> Reference:
    body = _object(document["$reference"], "path", "type")
    return Reference(_text(body["path"]), _text(body["type"]))


def _template(document: JsonObject) -> Template:
    return Template(_text(document[_TEMPLATE]), document.get(_SHELL) is True)


def _element(document: JsonObject) -> Element:
    body = _object(document["$key"], "of", "key")
    return Element(value_of(body["of"]), _text(body["key"]))


def _typed(document: JsonObject) -> Typed:
    body = _object(document["$typed"], "type", "of")
    return Typed(_text(body["type"]), value_of(body["of"]))


_READERS: Mapping[str, Callable[[JsonObject], Value]] = {
    "$reference": _reference,
    "$secret": lambda document: Secret(_text(document["$secret"])),
    _TEMPLATE: _template,
    "$key": _element,
    "$typed": _typed,
    "$text": lambda document: JoinedText(_values(document["$text"])),
    "$sum": lambda document: Sum(_values(document["$sum"])),
    "$joined": lambda document: JoinedLists(_values(document["$joined"])),
    _LITERAL: lambda document: Known(document[_LITERAL]),
}

"""Attribute types: convert a written value to its attribute's declared type, or refuse it.

Source: the original's data types (docs/original.md 4.2), with dtk's decision (7): the declaration, not YAML,
determines what ``'03'``, ``2.7`` and ``1.5.1`` mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING

from dtk.model.json_data import Json, is_json, refuse_constant
from dtk.model.written import WrittenFloat, WrittenInteger, as_written, written_scalar

if TYPE_CHECKING:
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.constructor import SafeConstructor

SCALAR_TYPES = ("string", "integer", "boolean", "port", "json", "log_file", "node_template_type")
COLLECTION_TYPES = ("hash", "array", "object")
ATTRIBUTE_TYPES = SCALAR_TYPES + COLLECTION_TYPES

_ARRAY_OF = re.compile(r"^array\((?P<item>[a-z_]+)\)$")
_LARGEST_PORT = 65535


def is_type(text: str) -> bool:
    """Return whether a text names an attribute type, ``array(T)`` included."""
    match = _ARRAY_OF.match(text)
    return (match["item"] if match else text) in ATTRIBUTE_TYPES


def is_list_type(type_: str) -> bool:
    """Return whether values of a type are lists."""
    return type_ == "array" or type_.startswith("array(")


def coerce(type_: str, value: Json) -> Json:
    """Return ``value`` converted to its attribute's type.

    Args:
        type_: the declared type, e.g. ``port`` or ``array(string)``.
        value: the value from YAML, JSON or a command line.

    Raises:
        ValueError: the value is not of the type; the message describes a valid one.
    """
    match = _ARRAY_OF.match(type_)
    if match:
        return [coerce(match["item"], item) for item in _list(value)]
    return _COERCIONS[type_](value)


def _string(value: Json) -> str:
    # Format it as YAML and the shell do, not as Python does.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"{_shown(value)} is not a text")


def _integer(value: Json) -> int:
    # In Python, true equals 1; here it is most likely an author's mistake.
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value):
        return int(value)
    raise ValueError(f"{_shown(value)} is not a whole number")


def _port(value: Json) -> int:
    try:
        number = _integer(value)
    except ValueError:
        number = -1
    if 0 <= number <= _LARGEST_PORT:
        return number
    raise ValueError(f"{_shown(value)} is not a port (0 to {_LARGEST_PORT})")


def _boolean(value: Json) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"{_shown(value)} is not true or false")


def _list(value: Json) -> list[Json]:
    parsed = _parsed(value)
    if isinstance(parsed, list):
        return parsed
    raise ValueError(f"{_shown(value)} is not a list")


def _array(value: Json) -> Json:
    return as_written(_list(value))


def _hash(value: Json) -> Json:
    parsed = _parsed(value)
    if isinstance(parsed, dict):
        return as_written(parsed)
    raise ValueError(f"{_shown(value)} is not a map of keys to values")


def _json(value: Json) -> Json:
    if not isinstance(value, str):
        return as_written(value)
    try:
        return as_written(_loaded(value))
    except ValueError:
        raise ValueError(f"{_shown(value)} is not JSON") from None


def _loaded(text: str) -> Json:
    try:
        data: object = json.loads(
            text,
            parse_int=lambda written: WrittenInteger(int(written), written),
            parse_float=lambda written: WrittenFloat(float(written), written),
            parse_constant=refuse_constant,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not is_json(data):
        raise ValueError("it contains an infinite number or an incomplete character")
    return data


def _parsed(value: Json) -> Json:
    """Parse a collection that was written as text: JSON, or YAML in flow or block style."""
    if not isinstance(value, str):
        return value
    # Try JSON first: it is exact and needs no YAML parser.
    try:
        return _loaded(value)
    except ValueError:
        return _parsed_yaml(value)


def _parsed_yaml(text: str) -> Json:
    from ruamel.yaml import YAML  # noqa: PLC0415 - 31 ms that most commands need not spend
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    reader = YAML(typ="safe", pure=True)
    reader.Constructor, reader.Composer = _as_written(), _without_anchors()
    try:
        data: object = reader.load(text)
    except (YAMLError, ValueError, TypeError, RecursionError):  # TypeError: a key that is a list of lists
        return text
    return data if is_json(data) else text


@cache
def _as_written() -> type[SafeConstructor]:
    """Return a constructor that reads words and numbers as dtk's own file parser does."""
    from ruamel.yaml.constructor import SafeConstructor  # noqa: PLC0415 - as above

    class AsWritten(SafeConstructor):
        pass

    for kind in ("null", "bool", "int", "float", "timestamp"):
        AsWritten.add_constructor(f"tag:yaml.org,2002:{kind}", lambda _, node: written_scalar(node.value))
    return AsWritten


@cache
def _without_anchors() -> type[Composer]:
    """Return a composer that refuses anchors: a few nested ones can expand to millions of values."""
    from ruamel.yaml import composer  # noqa: PLC0415 - as above

    class WithoutAnchors(composer.Composer):
        def compose_node(self, parent: object, index: object) -> object:
            event = self.parser.peek_event()
            if event.anchor is not None:
                raise composer.ComposerError(None, None, "anchors are not supported", event.start_mark)
            return super().compose_node(parent, index)

    return WithoutAnchors


def _shown(value: Json) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


_COERCIONS: Mapping[str, Callable[[Json], Json]] = {
    "string": _string,
    "log_file": _string,
    "node_template_type": _string,
    "integer": _integer,
    "port": _port,
    "boolean": _boolean,
    "json": _json,
    "hash": _hash,
    "object": _hash,
    "array": _array,
}

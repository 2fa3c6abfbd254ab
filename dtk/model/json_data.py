"""JSON's own types: what a document, a message or a known value is made of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn, TypeAlias, TypeGuard, Union

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\\ud800-\\udfff]")

# Lists and dicts, not sequences and mappings: these are what json.loads makes, and what isinstance narrows to.
# A Union, not "|": the alias names itself, and Python 3.11 evaluates it.
Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]

JsonObject: TypeAlias = dict[str, Json]

ReadOnlyObject: TypeAlias = Mapping[str, Json]
"""An object that is only read; unlike ``JsonObject``, it can be a ``dict[str, str]`` as well."""

ReadOnlyJson: TypeAlias = Union[bool, int, float, str, "Sequence[ReadOnlyJson]", "Mapping[str, ReadOnlyJson]", None]
"""What is only read and written on: unlike ``Json``, it can be a ``list[str]`` or a tuple as well."""


def as_object(value: object) -> JsonObject:
    """Return a value that a schema calls an object; empty where there is none."""
    return value if isinstance(value, dict) else {}


def texts_in(value: object) -> Iterator[str]:
    """Yield the texts and numbers in plain data, as texts."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def parse_json(text: str | bytes) -> object:
    """Return the data in a JSON text, of whatever kind; its reader checks it.

    Raises:
        ValueError: it is not JSON, holds what is no character, or is nested more deeply than any document of dtk.
    """
    try:
        data: object = json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _SURROGATE.search(text if isinstance(text, str) else text.decode("utf-8", "replace")):
        check_characters(json.dumps(data, ensure_ascii=False))
    return data


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's reader takes for numbers and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


def check_characters(text: str) -> None:
    """Refuse half a character: it can be written in escapes, and neither printed nor kept in a file.

    Raises:
        ValueError: there is one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"U+{ord(text[error.start]):04X} is not a character") from None


def is_json(value: object) -> TypeGuard[Json]:
    """Say whether data can be written as JSON: keys that are texts, finite numbers, whole characters."""
    if isinstance(value, str):
        return value.isascii() or not _LONE.search(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(key) and is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_json(item) for item in value)
    return value is None or isinstance(value, (bool, int))

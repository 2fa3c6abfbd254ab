"""JSON's own types: what a document, a message or a known value is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, Union

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
        ValueError: it is no JSON, or is nested more deeply than any document of dtk.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None

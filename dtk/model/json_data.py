"""JSON types: what documents, messages and known values consist of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn, TypeAlias, TypeGuard, Union

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\\ud800-\\udfff]")

# Lists and dicts, not sequences and mappings: json.loads returns these, and isinstance narrows to them.
# A Union, not "|": the alias is recursive, and Python 3.11 would evaluate it.
Json: TypeAlias = Union[bool, int, float, str, "list[Json]", "dict[str, Json]", None]

JsonObject: TypeAlias = dict[str, Json]

ReadOnlyObject: TypeAlias = Mapping[str, Json]
"""A read-only object; unlike ``JsonObject``, it also accepts a ``dict[str, str]``."""

ReadOnlyJson: TypeAlias = Union[bool, int, float, str, "Sequence[ReadOnlyJson]", "Mapping[str, ReadOnlyJson]", None]
"""Read-only data; unlike ``Json``, it also accepts a ``list[str]`` or a tuple."""


def as_object(value: object) -> JsonObject:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def texts_in(value: object) -> Iterator[str]:
    """Yield the texts and numbers in plain data as strings."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def parse_json(text: str | bytes) -> object:
    """Return the data in a JSON text, of any type; the caller checks it.

    Raises:
        ValueError: the text is not JSON, contains a lone surrogate, or is nested too deeply.
    """
    try:
        data: object = json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _SURROGATE.search(text if isinstance(text, str) else text.decode("utf-8", "replace")):
        check_characters(json.dumps(data, ensure_ascii=False))
    return data


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts but JSON does not allow."""
    raise ValueError(f"{name} is not JSON")


def check_characters(text: str) -> None:
    """Refuse lone surrogates: JSON escapes can express them, but they can't be printed or written to a file.

    Raises:
        ValueError: the text contains one.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"U+{ord(text[error.start]):04X} is not a character") from None


def is_json(value: object) -> TypeGuard[Json]:
    """Return whether data can be written as JSON: string keys, finite numbers, no lone surrogates."""
    if isinstance(value, str):
        return value.isascii() or not _LONE.search(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_json(key) and is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(is_json(item) for item in value)
    return value is None or isinstance(value, (bool, int))

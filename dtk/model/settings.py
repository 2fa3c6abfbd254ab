"""Target settings and node attributes, read as the types that their schema guarantees."""

from __future__ import annotations

from collections.abc import Mapping


def text(values: Mapping[str, object], name: str, default: str = "") -> str:
    """Return a value as text, or the default if it is not set."""
    found = values.get(name)
    return default if found is None else str(found)


def number(values: Mapping[str, object], name: str, default: float) -> float:
    """Return a value as a number, or the default if it is not set.

    Raises:
        ValueError: the value is not a number.
    """
    return float(text(values, name, str(default)))


def texts(values: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return a list as texts; a single value counts as a list of one, a missing value or "" as an empty list."""
    return as_texts(values.get(name))


def as_texts(value: object) -> tuple[str, ...]:
    """Return a list as texts; a single value counts as a list of one, None or "" as an empty list."""
    if value is None or value == "":
        return ()
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def mapping(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a map, an empty one if it is not set."""
    return as_mapping(values.get(name))


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a map with its keys as texts; any other value counts as an empty map."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}

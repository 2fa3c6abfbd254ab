"""Values of a target's settings and a node's attributes, read as the type that their schema promises."""

from __future__ import annotations

from collections.abc import Mapping


def text(values: Mapping[str, object], name: str, default: str = "") -> str:
    """Return a value as text; the default where there is none."""
    found = values.get(name)
    return default if found is None else str(found)


def number(values: Mapping[str, object], name: str, default: float) -> float:
    """Return a value as a number; the default where there is none.

    Raises:
        ValueError: it is not a number.
    """
    return float(text(values, name, str(default)))


def texts(values: Mapping[str, object], name: str) -> tuple[str, ...]:
    """Return a list as texts; one value counts as a list of one, none and "" as an empty list."""
    return as_texts(values.get(name))


def as_texts(value: object) -> tuple[str, ...]:
    """Return a list as texts; one value counts as a list of one, None and "" as an empty list."""
    if value is None or value == "":
        return ()
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else (str(value),)


def mapping(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a map; an empty one where there is none."""
    return as_mapping(values.get(name))


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a map with its keys as texts; anything else counts as an empty one."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}

"""The elements that an action's loop iterates over: list items, or a hash's keys and values."""

from __future__ import annotations

from dtk.model.json_data import Json

ITEM = "item"
"""The template name of a loop's current element; for a hash it has ``key`` and ``value``."""


def elements_of(data: Json) -> list[Json]:
    """Return the elements that a loop iterates over, in the order written.

    Raises:
        ValueError: the data is neither a list nor a hash.
    """
    if isinstance(data, list):
        return list(data)
    if isinstance(data, dict):
        return [{"key": key, "value": value} for key, value in data.items()]
    found = "it has no value" if data is None else f"its value is {data!r}"
    raise ValueError(f"'for' needs a list or a hash, but {found}")

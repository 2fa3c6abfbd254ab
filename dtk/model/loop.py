"""What a loop of an action goes over: the items of a list, or the keys of a hash with their values."""

from __future__ import annotations

from dtk.model.json_data import Json

ITEM = "item"
"""What templates call the element that a loop is at; of a hash it has ``key`` and ``value``."""


def elements_of(data: Json) -> list[Json]:
    """Return what a loop over data goes through, in the order written.

    Raises:
        ValueError: it is neither a list nor a hash.
    """
    if isinstance(data, list):
        return list(data)
    if isinstance(data, dict):
        return [{"key": key, "value": value} for key, value in data.items()]
    found = "nothing is set" if data is None else f"it gives {data!r}"
    raise ValueError(f"'for' needs a list or a hash, but {found}")

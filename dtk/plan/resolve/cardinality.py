"""The number of members of a node group: the attribute that sets it, and its limit."""

from __future__ import annotations

from dtk.model.json_data import Json

CARDINALITY = "cardinality"
MOST_MEMBERS = 10_000
"""Limit per group, so that a typing error can't plan a hundred million machines."""


def checked_cardinality(number: Json) -> int:
    """Check the number of members of a group, and return it.

    Raises:
        ValueError: the number is not valid.
    """
    if not isinstance(number, int) or number < 0:
        raise ValueError("Value must be a whole number, 0 or more")
    if number > MOST_MEMBERS:
        raise ValueError(f"Value must be at most {MOST_MEMBERS}")
    return number

"""How many members a group of nodes has: the attribute that says it, and how many it can have."""

from __future__ import annotations

from dtk.model.json_data import Json

CARDINALITY = "cardinality"
MOST_MEMBERS = 10_000
"""Of one group. A slip of the finger must not plan for a hundred million machines."""


def checked_cardinality(number: Json) -> int:
    """Return how many members a group has, if it can have so many.

    Raises:
        ValueError: it can't.
    """
    if not isinstance(number, int) or number < 0:
        raise ValueError("Value must be a whole number, 0 or more")
    if number > MOST_MEMBERS:
        raise ValueError(f"Value must be at most {MOST_MEMBERS}")
    return number

"""How many nodes run at once: a number, a percentage, or all."""

from __future__ import annotations

import math


def in_flight(limit: int | str | None, steps: int) -> int:
    """Return how many of a number of steps may run at once, at least one.

    Args:
        limit: a number, a percentage like ``25%`` (rounded up), or None for no limit.
        steps: the number of steps.
    """
    if limit is None:
        return max(steps, 1)
    if isinstance(limit, str) and limit.endswith("%"):
        return max(math.ceil(steps * float(limit[:-1]) / 100), 1)
    return max(int(limit), 1)

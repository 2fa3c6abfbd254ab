"""Why a component changes, for people: of long values the part that differs."""

from __future__ import annotations

import re

_ARROW = " → "
_LONGEST_VALUE = 60
_CONTEXT = 12
"""Characters in front of the first difference that say where it is."""
_ORIGIN = re.compile(r" \(from [^()]*\)$")


def brief(reason: str) -> str:
    """Return a plan's reason (``PATH BEFORE → AFTER``, which has the whole values) as a screen shows it."""
    path, blank, values = reason.partition(" ")
    cuts = [found.start() for found in re.finditer(_ARROW, values)]
    if not blank or not cuts:
        return reason
    # An arrow may stand in a value: the right one has values around it that are most alike.
    at = max(cuts, key=lambda cut: _alike(values[:cut], values[cut + len(_ARROW) :]))
    before, after = values[:at], values[at + len(_ARROW) :]
    origin = _ORIGIN.search(after)
    after = after[: origin.start()] if origin else after
    if max(len(before), len(after)) <= _LONGEST_VALUE:
        return reason
    start = max(_alike(before, after) - _CONTEXT, 0)
    return f"{path} {_part(before, start)}{_ARROW}{_part(after, start)}{origin[0] if origin else ''}"


def _alike(before: str, after: str) -> int:
    pairs = enumerate(zip(before, after, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))


def _part(value: str, start: int) -> str:
    if len(value) <= _LONGEST_VALUE and not start:
        return value
    end = start + _LONGEST_VALUE
    return f"{'…' if start else ''}{value[start:end]}{'…' if end < len(value) else ''}"

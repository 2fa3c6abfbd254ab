"""Comparison of versions and constraints."""

from __future__ import annotations

import re

_TERM = re.compile(r"^\s*(?P<sign>>=|<=|==|!=|>|<)?\s*(?P<version>\S+)\s*$")

_NUMBER = re.compile(r"[0-9]{1,300}")
"""Longer numbers are not parsed, because Python limits the number of digits."""


def _parts(version: str) -> tuple[tuple[int, str], ...]:
    """Return a version's comparison key: numbers compare as numbers; ``1.0`` equals ``1``."""
    words = re.split(r"[.\-_]", version)
    parts = [(int(word), "") if _NUMBER.fullmatch(word) else (-1, word) for word in words if word]
    while parts and parts[-1] == (0, ""):
        parts.pop()
    return tuple(parts)


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """Return the sort key of a version."""
    return _parts(version)


def is_newer(version: str, known: str) -> bool:
    """Return whether a version is newer than a known one; False if it is not a version."""
    return re.fullmatch(r"[0-9.]+", version) is not None and _parts(version) > _parts(known)


def satisfies(version: str, constraint: str) -> bool:
    """Return whether a version meets a constraint such as ``>=1.0,<2``; a plain version must match exactly."""
    return all(_meets(version, term) for term in constraint.split(","))


def _meets(version: str, term: str) -> bool:
    match = _TERM.match(term)
    if match is None or not version:
        return False
    left, right = _parts(version), _parts(match["version"])
    return {
        ">=": left >= right,
        "<=": left <= right,
        ">": left > right,
        "<": left < right,
        "!=": left != right,
    }.get(match["sign"] or "", left == right)

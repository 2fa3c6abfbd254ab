"""Spelling suggestions: the valid name closest to a misspelt one. The "did you mean" sentence is in errors.py."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from dtk.errors import proposal

_MOST_COMPARED = 500
"""Limit on the names compared with a misspelt one: each takes microseconds, and a file can have thousands of both."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the closest valid name, "" if none is close enough.

    A component is often written without its module: ``worker`` matches ``dask::worker``. Components of the same module
    are compared by their last word only; otherwise ``dask::a`` and ``dask::b`` would look alike.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    module, _, word = name.rpartition("::")
    words: dict[str, str] = {}
    others: list[str] = []
    for known in islice(names, _MOST_COMPARED):
        its_module, _, its_word = known.rpartition("::")
        if its_module == module or its_word == name:
            words.setdefault(its_word, known)
        elif known:
            others.append(known)
    close = get_close_matches(word, words, n=1)
    return words[close[0]] if close else next(iter(get_close_matches(name, others, n=1)), "")


def did_you_mean(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return the hint for an unknown name: the closest valid name, else the alternative hint."""
    return proposal(nearest(name, names)) or otherwise

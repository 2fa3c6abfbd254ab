"""Did you mean …? The valid name closest to what somebody wrote; the sentence itself is in errors.py."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from dtk.errors import proposal

_MOST_COMPARED = 500
"""Names that a misspelt one is compared with: each costs microseconds, and a file can hold thousands of both."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name that is close enough to be what was meant, "" when none is.

    A component is often written without its module: ``worker`` is close to ``dask::worker``. Of the same module's
    components only their own words are compared, or ``dask::a`` and ``dask::b`` would look alike.
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
    """Return the hint for a name that does not exist: the nearest one, else another hint."""
    return proposal(nearest(name, names)) or otherwise

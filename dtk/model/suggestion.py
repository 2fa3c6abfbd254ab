"""The valid name closest to what somebody wrote."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name that is close enough to be what was meant, "" when none is.

    A component is often written without its module: ``worker`` is close to ``dask::worker``. Of the same module's
    components only their own words are compared, or ``dask::a`` and ``dask::b`` would look alike.
    """
    module, _, word = name.rpartition("::")
    words: dict[str, str] = {}
    others: list[str] = []
    for known in names:
        its_module, _, its_word = known.rpartition("::")
        if its_module == module or its_word == name:
            words.setdefault(its_word, known)
        elif known:
            others.append(known)
    close = get_close_matches(word, words, n=1)
    return words[close[0]] if close else next(iter(get_close_matches(name, others, n=1)), "")

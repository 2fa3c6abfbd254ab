"""The valid name closest to what somebody wrote."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the name that is close enough to be what was meant, "" when none is.

    A component is often written without its module: ``worker`` is close to ``dask::worker``.
    """
    known = [known for known in names if known]
    ends = [known_name for known_name in known if known_name.rpartition("::")[2] == name]
    return next(iter(ends or get_close_matches(name, known, n=1, cutoff=0.6)), "")

"""Shifts the clock of the process it is loaded into: put beside as ``sitecustomize`` by the tests, unknown to dtk.

The file that CLOCK names says by how many seconds; it is read at each look at the clock.
"""

import datetime
import os
import time
from pathlib import Path

FILE = Path(os.environ.get("CLOCK", "/nowhere"))
real = time.time


def shifted() -> float:
    try:
        return real() + float(FILE.read_text() or 0)
    except OSError:
        return real()


class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
        return cls.fromtimestamp(shifted(), tz)


if FILE.exists():
    time.time = shifted
    datetime.datetime = Shifted  # type: ignore[misc]

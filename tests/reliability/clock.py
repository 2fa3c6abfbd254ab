"""Shifts the clock of the process that loads it: the tests install it as ``sitecustomize``; dtk does not know it.

The file named by the variable CLOCK holds the shift in seconds; it is read each time the process reads the clock.
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

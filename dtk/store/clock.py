"""The holder's clock: seconds that neither a step of the wall clock nor a sleeping laptop can stop or set back."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

# Linux's monotonic clock stands still while a laptop sleeps: its holder would wake up and believe in its lease.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def since_boot() -> float:
    """Return the seconds since this machine started, time asleep included where the system counts it."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

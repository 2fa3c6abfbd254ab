"""The holder's clock: monotonic seconds that wall-clock changes do not affect and that include time asleep."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

# On Linux, CLOCK_MONOTONIC stops while a laptop sleeps: the holder would wake up and trust an expired lease.
_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def since_boot() -> float:
    """Return the seconds since this machine started, including time asleep where the system counts it."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)

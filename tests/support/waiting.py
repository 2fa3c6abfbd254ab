"""Waits for states, with timeouts that are generous enough for a loaded machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 180.0

_Found = TypeVar("_Found")


def eventually(what: Callable[[], _Found | None], why: str) -> _Found:
    """Wait until ``what`` returns a true value and return it. After the timeout, fail with ``why``."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never happened: {why}")

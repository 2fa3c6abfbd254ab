"""Waits for states: bounds are generous, as a loaded machine needs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 180.0

_Found = TypeVar("_Found")


def eventually(what: Callable[[], _Found | None], why: str) -> _Found:
    """Wait until something is so; fail with the reason when it never is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never happened: {why}")

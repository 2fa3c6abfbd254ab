"""Waits for states, with timeouts that are generous enough for a loaded machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, TypeVar

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


@contextmanager
def limited(process: subprocess.Popen[Any]) -> Iterator[subprocess.Popen[Any]]:
    """Kill a process at the end of the block, or when the timeout is over: whoever waits for its output goes on."""
    late = Timer(PATIENCE, process.kill)
    late.start()
    try:
        yield process
    finally:
        late.cancel()
        process.kill()

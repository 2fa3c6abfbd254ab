"""The keyboard of a live screen: reads single keys without echo, and restores the terminal afterwards."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any, TextIO

END_OF_INPUT = "\x04"


class Keys:
    """Reads keys while entered as a context; without a terminal there are no keys, and it only waits."""

    def __init__(self, source: TextIO | None = None) -> None:
        """Read keys from a terminal, by default standard input."""
        self._descriptor = _terminal(sys.stdin if source is None else source)
        self._saved: list[Any] | None = None

    def __enter__(self) -> Keys:
        if self._descriptor is not None:
            self._saved = termios.tcgetattr(self._descriptor)
            # Single keys without echo; ^C stays a signal, so that it works however busy the screen is.
            tty.setcbreak(self._descriptor, termios.TCSADRAIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None and self._saved is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._saved)

    def pressed(self, seconds: float = 0.0) -> str:
        """Return the keys pressed within a number of seconds, "" if there are none."""
        if self._descriptor is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        # A closed terminal reads as end of input: the screen must not wait for it.
        return os.read(self._descriptor, 64).decode("utf-8", "replace") or END_OF_INPUT


def _terminal(source: TextIO) -> int | None:
    try:
        descriptor = source.fileno()
    except (OSError, ValueError):
        return None
    return descriptor if os.isatty(descriptor) else None

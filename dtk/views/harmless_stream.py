"""The standard streams as dtk writes to them: nothing that modules, logs or hosts say reaches the terminal raw."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import TextIO

# All but dtk's own colours (views/formatting.py): they could be told from others' by nobody, and do no harm.
_ESCAPE = (
    r"\x1b(?!\[(?:0|31|32|33|36)m)"
    r"(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -~])?"
)
_CONTROL = r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"
_HARMFUL = re.compile(f"{_ESCAPE}|{_CONTROL}")


class HarmlessStream(io.TextIOWrapper):
    """Leaves out of what is written all that would move, retitle or otherwise steer a terminal.

    ``drawing`` is the stream for what draws a whole screen and makes what it shows harmless itself.
    """

    def __init__(self, drawing: io.TextIOWrapper) -> None:
        """Write to the same place as ``drawing``; what it can't encode becomes a ?, as it must not end a command."""
        super().__init__(
            drawing.buffer,
            drawing.encoding,
            errors="replace",
            line_buffering=drawing.line_buffering,
            write_through=True,
        )
        self.drawing = drawing
        self._change: Callable[[str], str] = lambda text: text

    def shield(self, change: Callable[[str], str]) -> None:
        """Let a function change every text before it is written, where more than a terminal reads it: a CI's log."""
        self._change = change

    def write(self, text: str, /) -> int:
        """Write a text; what is harmful is left out of it."""
        changed = self._change(text)
        super().write(changed if changed.isprintable() else _HARMFUL.sub("", changed))
        return len(text)


def make_streams_harmless() -> None:
    """Put harmless streams in the place of standard output and standard error."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, HarmlessStream):
            stream.reconfigure(errors="replace")
            setattr(sys, name, HarmlessStream(stream))


def drawing_stream(stream: TextIO) -> TextIO:
    """Return the stream that takes a screen's own sequences."""
    return stream.drawing if isinstance(stream, HarmlessStream) else stream

"""The standard streams of dtk: output of modules, logs and hosts never reaches the terminal unfiltered."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import TextIO

# Everything except dtk's own colors (views/formatting.py), which are harmless even if somebody else prints them.
_ESCAPE = (
    r"\x1b(?!\[(?:0|31|32|33|36)m)"
    r"(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -~])?"
)
_CONTROL = r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]"
_HARMFUL = re.compile(f"{_ESCAPE}|{_CONTROL}")
_NAMES = {"<stdout>": "standard output", "<stderr>": "standard error"}
"""Python's names of the streams, in words."""


def _harmless(text: str) -> str:
    return text if text.isprintable() else _HARMFUL.sub("", text)


class HarmlessStream(io.TextIOWrapper):
    """A text stream that removes everything that would move the cursor, set titles or otherwise control a terminal.

    ``drawing`` is the unfiltered stream, for code that draws a whole screen and filters its content itself.
    """

    def __init__(self, drawing: io.TextIOWrapper) -> None:
        """Write to the same file as ``drawing``; characters that it can't encode become ?, so that no command fails."""
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
        """Apply a function to every text before it is written, for readers beyond the terminal, such as a CI log."""
        self._change = change

    def write(self, text: str, /) -> int:
        """Write a text without its harmful parts."""
        changed = self._change(text)
        self._named(lambda: super(HarmlessStream, self).write(_harmless(changed)))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._named(super().flush)

    def _named(self, action: Callable[[], object]) -> None:
        """Do something with the stream; name the stream in an error, since a full disk may be that of a redirection."""
        try:
            action()
        except OSError as error:
            error.filename = _NAMES.get(self.name, self.name)
            raise


def make_streams_harmless() -> None:
    """Replace standard output and standard error with harmless streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, HarmlessStream):
            stream.reconfigure(errors="replace")
            setattr(sys, name, HarmlessStream(stream))


def drawing_stream(stream: TextIO) -> TextIO:
    """Return the unfiltered stream that a screen is drawn on."""
    return stream.drawing if isinstance(stream, HarmlessStream) else stream

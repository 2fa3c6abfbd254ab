"""The last line of a terminal while a task is followed: the step that runs longest, redrawn in place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TextIO

from dtk.views.formatting import cropped, one_line, terminal_columns
from dtk.views.harmless_stream import drawing_stream

SECONDS = 1.0
"""Seconds between redraws: elapsed time is shown in seconds."""
_ERASE = "\r\x1b[K"


class StatusLine:
    """A line below the output; it is erased before anything else is printed."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._drawing = drawing_stream(output)
        self._drawn = False
        self._next = 0.0

    def show(self, text: str, now: float) -> None:
        """Draw the line if a redraw is due; ``now`` is in seconds."""
        if now < self._next:
            return
        self._next = now + SECONDS
        if text:
            self._write(_ERASE + cropped(one_line(text), (terminal_columns(self._output) or 80) - 1))
            self._drawn = True
        else:
            self.clear()

    def clear(self) -> None:
        """Erase the line."""
        if self._drawn:
            self._write(_ERASE)
            self._drawn = False

    def cleared(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield texts, and erase the line before each and at the end."""
        try:
            for text in texts:
                self.clear()
                yield text
        finally:
            self.clear()

    def _write(self, text: str) -> None:
        self._output.flush()
        self._drawing.write(text)
        self._drawing.flush()

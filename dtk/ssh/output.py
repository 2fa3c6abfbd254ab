"""Command output within limits: splits bytes into lines, keeps the last ones, limits lines per second."""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Literal, Protocol

Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")

LONGEST_LINE = 16 * 1024
"""In characters; a longer line (a progress bar, a binary file) is split into pieces of this length."""
KEPT_OUTPUT = 64 * 1024
"""In characters: how much of a command's output its event keeps, per stream."""
KEPT_FOR_ERROR = 20
"""Number of output lines in an error message."""
LINES_PER_SECOND = 100
"""Maximum number of output lines that a step writes to the log per second; further lines are only counted."""
LONGEST_SHOWN_LINE = 2000


class TextFilter(Protocol):
    """A filter that text passes, piece by piece, before it is split into lines."""

    def feed(self, text: str) -> str:
        """Process the next piece; return the text that is final so far."""

    def end(self) -> str:
        """Return the text that was held back: no more input follows."""


class LineSplitter:
    """A splitter of byte chunks into lines; invalid UTF-8 is replaced and never an error.

    A line that is redrawn in place (a download's progress bar) is incomplete until it ends, which may take minutes.
    ``redrawn`` is called with its present text meanwhile.
    """

    def __init__(
        self,
        give: Callable[[str], None],
        through: TextFilter | None = None,
        redrawn: Callable[[str], None] | None = None,
    ) -> None:
        self._give = give
        self._redrawn = redrawn
        self._through = through
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> None:
        """Process the next bytes and pass on every complete line."""
        text = self._decoder.decode(chunk)
        self._take(self._through.feed(text) if self._through else text)

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._give_pieces(line)
        while len(self._rest) > LONGEST_LINE:
            self._give(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        if self._redrawn is not None and "\r" in self._rest:
            # The text after the last carriage return may be drawn in part; the text before it is complete.
            looks = self._rest[: self._rest.rindex("\r")].rstrip("\r").rpartition("\r")[2]
            if looks.strip():
                self._redrawn(looks)

    def end(self) -> None:
        """Pass on the text after the last newline."""
        last = self._decoder.decode(b"", final=True)
        self._take(self._through.feed(last) + self._through.end() if self._through else last)
        rest, self._rest = self._rest, ""
        if rest:
            self._give_pieces(rest)

    def _give_pieces(self, line: str) -> None:
        line = line.removesuffix("\r")
        for start in range(0, max(len(line), 1), LONGEST_LINE):
            self._give(line[start : start + LONGEST_LINE])


def lines_of(output: bytes) -> list[str]:
    """Return the lines of a complete output, none of them split; invalid UTF-8 is replaced."""
    lines = output.decode(errors="replace").split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]


class Tail:
    """The last lines of an output, limited in characters, with the number of dropped lines."""

    def __init__(self, characters: int = KEPT_OUTPUT) -> None:
        self._lines: deque[str] = deque()
        self._limit = characters
        self._size = 0
        self._dropped = 0

    def add(self, line: str) -> None:
        """Add one line; drop the oldest lines if there are too many characters."""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1
            self._dropped += 1

    @property
    def lines(self) -> list[str]:
        """The kept lines."""
        return list(self._lines)

    @property
    def is_complete(self) -> bool:
        """Whether no line was dropped."""
        return not self._dropped

    def text(self) -> str:
        """Return the kept lines, preceded by a note about dropped lines if there are any."""
        lines = [] if self.is_complete else [f"[{self._dropped} earlier lines left out]"]
        return "\n".join([*lines, *self._lines])


class OutputGate:
    """A rate limiter between a command's output and the log: it writes lines in batches and counts the dropped ones."""

    def __init__(self, write: Callable[[Stream, list[str], int], None]) -> None:
        """``write`` receives a stream, its lines in order, and how many lines were dropped so far."""
        self._write = write
        self._batch: list[tuple[Stream, str]] = []
        self._left_out = 0
        self._second = 0.0
        self._used = 0

    def add(self, stream: Stream, line: str) -> None:
        """Add one line, or count it if the limit is reached."""
        now = time.monotonic()
        # A fixed window, not a sliding one: it needs only a counter and a clock, and at most doubles a burst.
        if now - self._second >= 1.0:
            self._second, self._used = now, 0
        if self._used < LINES_PER_SECOND:
            self._used += 1
            self._batch.append((stream, line))
        else:
            self._left_out += 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._batch and not self._left_out

    def flush(self) -> None:
        """Write the lines since the last flush, with consecutive lines of one stream in one call."""
        while not self.is_empty:
            # Writing may wait for the disk, and be stopped meanwhile: the rest is left for whoever flushes next.
            stream, lines = self._take_run()
            left_out = 0
            if not self._batch:
                left_out, self._left_out = self._left_out, 0
            self._write(stream, lines, left_out)

    def _take_run(self) -> tuple[Stream, list[str]]:
        if not self._batch:
            return "stdout", []
        stream, run = next(groupby(self._batch, key=itemgetter(0)))
        lines = [line for _, line in run]
        del self._batch[: len(lines)]
        return stream, lines

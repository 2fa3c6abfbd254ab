"""What a command prints, bounded: whole lines out of raw bytes, the last of them, not too many a second."""

from __future__ import annotations

import codecs
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

Stream = Literal["stdout", "stderr"]
STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")

LONGEST_LINE = 16 * 1024
"""Characters; a longer line (a progress bar, a binary file) is cut into pieces of this length."""
KEPT_OUTPUT = 64 * 1024
"""Characters of a command's output that its event keeps, per stream."""
KEPT_FOR_ERROR = 20
"""Lines of output that an error names."""
LINES_PER_SECOND = 100
"""Lines of output that a step puts into the log within a second; the rest is only counted."""
LONGEST_SHOWN_LINE = 2000


class TextFilter(Protocol):
    """What an output goes through, piece by piece, before it is cut into lines."""

    def feed(self, text: str) -> str:
        """Take the next piece; return what is final of all that came."""

    def end(self) -> str:
        """Return what was held back: nothing follows."""


class LineSplitter:
    """Turns chunks of bytes into lines; bytes that are no UTF-8 are replaced, never an error.

    A line that is drawn over and over (a download's progress bar) is none until it ends, which may take minutes:
    ``redrawn`` is told how it looks meanwhile.
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
        """Take the next bytes; every line that is complete is given on."""
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
            # What stands behind the last return may be half a drawing; what stands before it is whole.
            looks = self._rest[: self._rest.rindex("\r")].rstrip("\r").rpartition("\r")[2]
            if looks.strip():
                self._redrawn(looks)

    def end(self) -> None:
        """Give on what stands after the last newline."""
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
    """Return the lines of a whole output, none of them cut; bytes that are no UTF-8 are replaced."""
    lines = output.decode(errors="replace").split("\n")
    if not lines[-1]:
        del lines[-1]
    return [line.removesuffix("\r") for line in lines]


class Tail:
    """The last lines of an output, up to a number of characters; it says how many were left out."""

    def __init__(self, characters: int = KEPT_OUTPUT) -> None:
        self._lines: deque[str] = deque()
        self._limit = characters
        self._size = 0
        self._dropped = 0

    def add(self, line: str) -> None:
        """Take one line; the oldest ones make room for it."""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > self._limit and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1
            self._dropped += 1

    @property
    def lines(self) -> list[str]:
        """The lines that are kept."""
        return list(self._lines)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out."""
        return not self._dropped

    def text(self) -> str:
        """Return the kept lines, after a first one that says what is missing."""
        lines = [] if self.is_complete else [f"[{self._dropped} earlier lines left out]"]
        return "\n".join([*lines, *self._lines])


class OutputGate:
    """Lets a bounded number of lines a second through to the log, in batches, and counts the others."""

    def __init__(self, write: Callable[[Stream, list[str], int], None]) -> None:
        """``write`` takes a stream, its lines in order, and how many were left out before this moment."""
        self._write = write
        self._batch: list[tuple[Stream, str]] = []
        self._left_out = 0
        self._second = 0.0
        self._used = 0

    def add(self, stream: Stream, line: str) -> None:
        """Take one line."""
        now = time.monotonic()
        # A fixed second, not a moving one: a count and a clock are all it takes, and bursts are at most doubled.
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
        """Write what has come since the last time, neighbouring lines of one stream together."""
        batch, self._batch = self._batch, []
        left_out, self._left_out = self._left_out, 0
        runs: list[tuple[Stream, list[str]]] = []
        for stream, line in batch:
            if not runs or runs[-1][0] != stream:
                runs.append((stream, []))
            runs[-1][1].append(line)
        if left_out and not runs:
            runs.append(("stdout", []))
        for number, (stream, lines) in enumerate(runs, start=1):
            self._write(stream, lines, left_out if number == len(runs) else 0)

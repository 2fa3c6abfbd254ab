"""Separates a command's own output on a channel from what the login shell prints around it.

A node always receives the same command line, `LOGIN_COMMAND`. Every login shell passes it on unchanged, since it has no
backslash, no newline and no exclamation mark. The command itself follows on the standard input, so that no process list
shows it. A script around the command prints a mark with a nonce on both streams before and after it. A pipe keeps the
order of its bytes: once the end mark has come, all output of the command has come.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

READ_SCRIPT = 'IFS= read -r dtk; eval "$(printf %b "$dtk")"'
"""For a shell that runs the first line of its standard input and leaves the rest to the command."""
READ_ALL = 'eval "$(cat)"'
"""For a shell that runs its whole standard input."""
LOGIN_COMMAND = f"sh -c '{READ_SCRIPT}'"

KEPT_NOISE = 2000
"""Bytes of a login's own output that are kept for an error message."""

_NOT_PLAIN = re.compile(rb"[^ -\[\]-~]")

_AROUND = """printf %s '{begin}'; printf %s '{begin}' >&2
(
{command}
)
dtk=$?
printf %s "{end}$dtk>"; printf %s "{end}$dtk>" >&2
exit $dtk"""


def encoded(script: str) -> bytes:
    """Return a script as the single line of plain ASCII that `READ_SCRIPT` reads."""
    return _NOT_PLAIN.sub(lambda found: b"\\0%03o" % found[0][0], script.encode()) + b"\n"


class Delimiter:
    """The marks of one command. Each command has a new nonce, so that no output contains the marks."""

    def __init__(self) -> None:
        nonce = secrets.token_hex(16)
        self.begin = f"<{nonce}+>"
        self.end = f"<{nonce}-"

    def around(self, command: str) -> bytes:
        """Return the first bytes for the standard input of `LOGIN_COMMAND`.

        Args:
            command: for a POSIX shell. An ``exit`` in it ends only the command.
        """
        return encoded(_AROUND.format(begin=self.begin, end=self.end, command=command))


class EchoError(Exception):
    """A stream contains the script that was sent: the login runs on a terminal, which echoes it."""


class OwnOutput:
    """A filter that passes on only those bytes of a stream that the command itself printed."""

    def __init__(self, delimiter: Delimiter, give: Callable[[bytes], None]) -> None:
        self._begin = delimiter.begin.encode()
        self._end = delimiter.end.encode()
        self._give = give
        self._rest = b""
        self.noise = b""
        """The first bytes printed before the command began, at most `KEPT_NOISE`."""
        self.has_begun = False
        self.code: int | None = None
        """The command's exit code, once its end mark has been seen."""

    def feed(self, chunk: bytes) -> None:
        """Process the next bytes of the stream; bytes after the command's end are dropped.

        Raises:
            EchoError: the bytes are the script that was sent.
        """
        if self.code is not None:
            return
        self._rest += chunk
        if not self.has_begun:
            self._look_for_begin()
        if self.has_begun:
            self._look_for_end()

    def close(self) -> None:
        """Pass on held-back bytes that could have been part of a mark: the stream has ended."""
        rest, self._rest = self._rest, b""
        if self.code is not None:
            return
        if self.has_begun:
            self._give(rest)
        else:
            self._note(rest)

    def _look_for_begin(self) -> None:
        before, mark, after = self._rest.partition(self._begin)
        self.has_begun = bool(mark)
        kept = b"" if mark else before[-len(self._begin) + 1 :]
        self._note(before[: len(before) - len(kept)])
        self._rest = after if mark else kept

    def _note(self, noise: bytes) -> None:
        self.noise += noise[: KEPT_NOISE - len(self.noise)]

    def _look_for_end(self) -> None:
        output, self._rest, after = divided(self._rest, self._end)
        if after is not None:
            self._rest = self._end + after
            code, closed, _ = after.partition(b">")
            if closed and not code.isdigit():
                raise EchoError
            self.code = int(code) if closed else None
        if output:
            self._give(output)


def divided(text: bytes, mark: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return what a text has before a mark, what at its end may be the mark's beginning, and what follows the mark.

    The last is None if the text does not contain the mark. The mark's first byte must occur in it once.
    """
    before, found, after = text.partition(mark)
    if found:
        return before, b"", after
    kept = len(text) - _beginning_of(mark, text)
    return text[:kept], text[kept:], None


def _beginning_of(mark: bytes, text: bytes) -> int:
    """Return how many bytes at the end of a text may be the beginning of a mark."""
    at = text.rfind(mark[:1], max(len(text) - len(mark) + 1, 0))
    return len(text) - at if at >= 0 and mark.startswith(text[at:]) else 0

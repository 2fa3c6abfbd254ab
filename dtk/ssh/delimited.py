"""Where a command's own output begins and ends on a channel, whatever the login shell prints around it.

A node is always given the same command line, `LOGIN_COMMAND`, which every login shell passes on unharmed: it has no
backslash, no newline and no exclamation mark. What is to be done comes after it on the standard input, so that no
command stands in a process list. A script around the command then prints a mark with a nonce on both streams before it
and after it. A pipe keeps the order of its bytes: once the last mark has come, all that the command printed has.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

READ_SCRIPT = 'IFS= read -r dtk; eval "$(printf %b "$dtk")"'
"""For a shell that runs the first line of its standard input and leaves the rest to what it runs."""
READ_ALL = 'eval "$(cat)"'
"""For a shell that runs the whole of its standard input."""
LOGIN_COMMAND = f"sh -c '{READ_SCRIPT}'"

KEPT_NOISE = 2000
"""Bytes of what a login prints that are kept for an error."""

_AROUND = """printf %s '{begin}'; printf %s '{begin}' >&2
(
{command}
)
dtk=$?
printf %s "{end}$dtk>"; printf %s "{end}$dtk>" >&2
exit $dtk"""


def encoded(script: str) -> bytes:
    """Return a script as the one line of plain ASCII that `READ_SCRIPT` reads."""
    plain = (chr(byte) if 32 <= byte < 127 and byte != ord("\\") else f"\\0{byte:03o}" for byte in script.encode())
    return "".join(plain).encode() + b"\n"


class Delimiter:
    """The marks of one command. The nonce is drawn anew for each, so that no output holds them."""

    def __init__(self) -> None:
        nonce = secrets.token_hex(16)
        self.begin = f"<{nonce}+>"
        self.end = f"<{nonce}-"

    def around(self, command: str) -> bytes:
        """Return what goes first over the standard input of `LOGIN_COMMAND`.

        Args:
            command: for a POSIX shell. Where it has an ``exit``, that ends the command alone.
        """
        return encoded(_AROUND.format(begin=self.begin, end=self.end, command=command))


class EchoError(Exception):
    """A stream holds what was sent to the command: a terminal stands between."""


class OwnOutput:
    """Takes one stream's bytes and gives on those that the command itself printed."""

    def __init__(self, delimiter: Delimiter, give: Callable[[bytes], None]) -> None:
        self._begin = delimiter.begin.encode()
        self._end = delimiter.end.encode()
        self._give = give
        self._rest = b""
        self.noise = b""
        """The beginning of what was printed before the command began."""
        self.has_begun = False
        self.code: int | None = None
        """The command's exit code, once its end has been seen."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream; what comes after the command's end is dropped.

        Raises:
            EchoError: they are what was sent to the command.
        """
        if self.code is not None:
            return
        self._rest += chunk
        if not self.has_begun:
            self._look_for_begin()
        if self.has_begun:
            self._look_for_end()

    def close(self) -> None:
        """Give on what looked like a mark and was none, as the stream has ended."""
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
        output, mark, after = self._rest.partition(self._end)
        if mark:
            self._rest = mark + after
            code, closed, _ = after.partition(b">")
            if closed and not code.isdigit():
                raise EchoError
            self.code = int(code) if closed else None
        else:
            kept = _beginning_of(self._end, output)
            output, self._rest = output[: len(output) - kept], output[len(output) - kept :]
        if output:
            self._give(output)


def _beginning_of(mark: bytes, text: bytes) -> int:
    """Return how many of a text's last bytes may be the beginning of a mark."""
    at = text.rfind(mark[:1], max(len(text) - len(mark) + 1, 0))
    return len(text) - at if at >= 0 and mark.startswith(text[at:]) else 0

"""Asks a node a question right after a command that changes something, in the same exchange."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from itertools import chain

from dtk.ssh.delimited import divided, encoded
from dtk.ssh.exchange import GiveBytes, Input
from dtk.ssh.output import Stream

# A process that the command left running may print at any time. The length shows whether the answer is whole.
_SCRIPT = """\
IFS= read -r dtk
{command}
dtk_code=$?
printf '<{nonce}|%s>' $dtk_code; printf '<{nonce}|%s>' $dtk_code >&2
if [ $dtk_code = 0 ]; then
dtk=$(printf %b "$dtk" | {question} 2>/dev/null)
printf '<{nonce}:%s:%s:{nonce}>' "${{#dtk}}" "$dtk"
fi
exit $dtk_code"""


class FollowUp:
    """A question that follows one command if that succeeds; separates the output of the two."""

    def __init__(self, question: str, script: bytes, give: GiveBytes, most: int) -> None:
        """Set the question.

        Args:
            question: a command for a POSIX shell that reads a script.
            script: that script.
            give: receives the output of the first command.
            most: the maximum number of bytes of the answer.
        """
        self._question, self._script = question, script
        self._nonce = secrets.token_hex(16)
        # Its first character is nowhere else in it, as ``divided`` expects.
        mark = f"<{self._nonce}|".encode()
        self._stdout = _Divided(mark, partial(give, "stdout"), most)
        self._stderr = _Divided(mark, partial(give, "stderr"), 0)

    def after(self, command: str) -> str:
        """Return a command with the question behind it."""
        return _SCRIPT.format(command=command, nonce=self._nonce, question=self._question)

    def input(self, stdin: Input) -> Input:
        """Return the standard input of both."""
        first = encoded(self._script.decode())
        if isinstance(stdin, bytes):
            return first + stdin
        return (first, *stdin) if isinstance(stdin, tuple) else chain((first,), stdin)

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Pass on what the first command printed, and keep the answer."""
        (self._stdout if stream == "stdout" else self._stderr).feed(chunk)

    @property
    def code(self) -> int | None:
        """The exit code of the first command, None while it has not ended."""
        found = re.match(rb"(\d+)>", self._stdout.after)
        return int(found[1]) if found else None

    def end(self) -> bytes | None:
        """Return the standard output of the question, None if it is not whole; pass on what was held back."""
        self._stdout.end()
        self._stderr.end()
        nonce = self._nonce.encode()
        found = re.search(rb"<%b:(\d+):(.*?):%b>" % (nonce, nonce), self._stdout.after, re.DOTALL)
        if found is None:
            return None
        # A shell counts bytes or characters.
        lengths = len(found[2]), len(found[2].decode(errors="surrogateescape"))
        return found[2] if int(found[1]) in lengths else None


class _Divided:
    """One stream: what comes before a mark is passed on, what comes after it is kept, up to a number of bytes."""

    def __init__(self, mark: bytes, give: Callable[[bytes], None], most: int) -> None:
        self._mark, self._give, self._most = mark, give, most
        self._rest = b""
        self._is_after = False
        self._kept: list[bytes] = []
        self._size = 0

    @property
    def after(self) -> bytes:
        return b"".join(self._kept)

    def feed(self, chunk: bytes) -> None:
        if self._is_after:
            self._keep(chunk)
            return
        passed, self._rest, after = divided(self._rest + chunk, self._mark)
        if passed:
            self._give(passed)
        if after is not None:
            self._is_after = True
            self._keep(after)

    def _keep(self, chunk: bytes) -> None:
        kept = chunk[: self._most - self._size]
        self._size += len(kept)
        if kept:
            self._kept.append(kept)

    def end(self) -> None:
        if self._rest:
            self._give(self._rest)
            self._rest = b""

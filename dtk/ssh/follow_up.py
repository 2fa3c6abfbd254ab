"""Asks a node a question right after a command that changes something, in the same exchange."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from itertools import chain

from dtk.ssh.delimited import beginning_of, encoded
from dtk.ssh.exchange import GiveBytes, Input
from dtk.ssh.output import STREAMS, Stream

_SCRIPT = """\
IFS= read -r dtk
{command}
dtk_code=$?
printf %s '{mark}'; printf %s '{mark}' >&2
[ $dtk_code != 0 ] || printf %b "$dtk" | {question}
exit $dtk_code"""


class FollowUp:
    """A question that follows one command if that succeeds; separates the output of the two."""

    def __init__(self, question: str, script: bytes, give: GiveBytes, most: int) -> None:
        """Set the question.

        Args:
            question: a command for a POSIX shell that reads a script.
            script: that script.
            give: receives the output of the first command.
            most: the maximum number of bytes of the answer on each stream.
        """
        self._question, self._script = question, script
        # Its first character is nowhere else in it, as ``beginning_of`` expects.
        self._mark = f"<{secrets.token_hex(16)}|"
        self._streams = {stream: _Divided(self._mark.encode(), partial(give, stream), most) for stream in STREAMS}

    def after(self, command: str) -> str:
        """Return a command with the question behind it."""
        return _SCRIPT.format(command=command, mark=self._mark, question=self._question)

    def input(self, stdin: Input) -> Input:
        """Return the standard input of both."""
        first = encoded(self._script.decode())
        if isinstance(stdin, bytes):
            return first + stdin
        return (first, *stdin) if isinstance(stdin, tuple) else chain((first,), stdin)

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Pass on what the first command printed, and keep the answer."""
        self._streams[stream].feed(chunk)

    def end(self) -> dict[Stream, bytes] | None:
        """Return the answer, None if it is incomplete or too long; pass on what was held back."""
        answers = {stream: one.end() for stream, one in self._streams.items()}
        found = {stream: answer for stream, answer in answers.items() if answer is not None}
        return found if len(found) == len(answers) else None


class _Divided:
    """One stream: what comes before a mark is passed on, what comes after it is kept."""

    def __init__(self, mark: bytes, give: Callable[[bytes], None], most: int) -> None:
        self._mark, self._give, self._most = mark, give, most
        self._rest = b""
        self._after: list[bytes] | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        if self._after is not None:
            self._keep(chunk)
            return
        before, mark, after = (self._rest + chunk).partition(self._mark)
        held = 0 if mark else beginning_of(self._mark, before)
        self._rest = before[len(before) - held :]
        if mark:
            self._rest, self._after = b"", []
            self._keep(after)
        if passed := before[: len(before) - held]:
            self._give(passed)

    def _keep(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._after is not None and self._size <= self._most:
            self._after.append(chunk)

    def end(self) -> bytes | None:
        if self._after is not None:
            return b"".join(self._after) if self._size <= self._most else None
        if self._rest:
            self._give(self._rest)
        return None

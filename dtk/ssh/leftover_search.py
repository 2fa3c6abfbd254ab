"""Searches for unfinished commands of earlier tasks in the same exchange with a node as the first command."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable

from dtk.ssh.delimited import READ_ALL
from dtk.ssh.exchange import GiveBytes
from dtk.ssh.output import Stream
from dtk.ssh.remote_kill import SEARCH_MARK, Older, search_script

# The search's processes carry the mark of the command: whoever ends the command meanwhile ends them, and it never
# begins. The script is a word of its own, because older shells can't read all of it inside $( ).
_SCRIPT = """\
dtk={search}
dtk=$(printf %s "$dtk" | {variable}={mark} sh -c {read} 2>/dev/null) || exit 1
if [ -n "$dtk" ]; then echo {nonce} found; exit 1; fi
echo {nonce} none
{command}"""


class LeftoverSearch:
    """A search that precedes one command, which runs only if nothing is found, and that command's output."""

    def __init__(self, older: Older, give: GiveBytes, ended: Callable[[], None], *, as_root: bool) -> None:
        """Set the search.

        Args:
            older: the tasks.
            give: receives the output of the command.
            ended: called when the search has ended.
            as_root: as in ``search_script``.
        """
        self._nonce = secrets.token_hex(16)
        self._search = search_script(self._nonce, as_root=as_root, older=older)
        self._give, self._ended = give, ended
        self._first_line = b""
        self.found: bool | None = None
        """Whether something was found, so that the command did not run; None while the search has not ended."""

    def before(self, command: str, mark: str) -> str:
        """Return the command, whose processes carry a mark, with the search in front."""
        words = {"search": self._search, "mark": mark, "read": READ_ALL}
        quoted = {name: shlex.quote(text) for name, text in words.items()}
        return _SCRIPT.format(**quoted, variable=SEARCH_MARK, nonce=self._nonce, command=command)

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Pass on what the command printed."""
        if stream != "stdout" or self.found is not None:
            self._give(stream, chunk)
            return
        self._first_line, end, rest = (self._first_line + chunk).partition(b"\n")
        if end:
            self.found = self._first_line == f"{self._nonce} found".encode()
            self._ended()
            if rest:
                self._give(stream, rest)

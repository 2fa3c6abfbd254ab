"""Searches for unfinished commands of earlier tasks in the same exchange with a node as the first command."""

from __future__ import annotations

import secrets

from dtk.ssh.exchange import GiveBytes
from dtk.ssh.output import Stream
from dtk.ssh.remote_kill import Older, search_script

_SCRIPT = """\
dtk=$({{ {search}
}} </dev/null 2>/dev/null)
if [ -n "$dtk" ]; then echo {nonce}; exit 1; fi
{command}"""


class LeftoverSearch:
    """A search that precedes one command, which runs only if nothing is found, and that command's output."""

    def __init__(self, older: Older, give: GiveBytes, *, as_root: bool) -> None:
        """``give`` receives the output of the command; the rest is as in ``search_script``."""
        self._nonce = secrets.token_hex(16)
        self._search = search_script(self._nonce, as_root=as_root, older=older)
        self._give = give
        self._told = f"{self._nonce}\n".encode()
        self._held: bytes | None = b""
        """What may be the beginning of the search's own line, None once it is known not to be."""

    def before(self, command: str) -> str:
        """Return the command with the search in front."""
        return _SCRIPT.format(search=self._search, nonce=self._nonce, command=command)

    def feed(self, stream: Stream, chunk: bytes) -> None:
        """Pass on what the command printed."""
        if stream != "stdout" or self._held is None:
            self._give(stream, chunk)
            return
        self._held += chunk
        if not self._told.startswith(self._held):
            self._pass_on()

    def end(self) -> bool:
        """Pass on what was held back; return whether something was found, so that the command did not run."""
        found = self._held == self._told
        if not found:
            self._pass_on()
        return found

    def _pass_on(self) -> None:
        held, self._held = self._held, None
        if held:
            self._give("stdout", held)

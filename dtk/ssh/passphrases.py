"""The passphrases of private keys that this process knows, by file, and their way to a task's worker: a pipe.

They stand on no command line, in no environment and in no file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

_PIECE = 65536
_known: dict[str, str] = {}


def unlock(passphrases: Mapping[str, str]) -> None:
    """Open the keys in some files with these passphrases, for as long as this process lives."""
    _known.update(passphrases)


def known_passphrases() -> dict[str, str]:
    """Return the passphrases that this process knows."""
    return dict(_known)


def known_as_pipe() -> int:
    """Return the end of a pipe that this process's passphrases are read from; what a pipe holds at once is far more."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as pipe:
        pipe.write(json.dumps(_known).encode())
    return ours


def unlock_from(descriptor: int) -> None:
    """Open the keys whose passphrases are handed over by a descriptor; nothing there is fine."""
    content = b""
    while piece := os.read(descriptor, _PIECE):
        content += piece
    unlock(json.loads(content) if content else {})

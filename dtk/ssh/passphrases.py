"""Passphrases of private keys, by file: known to this process, and passed to a task's worker through a pipe.

They appear on no command line, in no environment and in no file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

_PIECE = 65536
_known: dict[str, str] = {}


def unlock(passphrases: Mapping[str, str]) -> None:
    """Remember the passphrases of key files for the lifetime of this process."""
    _known.update(passphrases)


def known_passphrases() -> dict[str, str]:
    """Return the passphrases known to this process, by key file."""
    return dict(_known)


def known_as_pipe() -> int:
    """Return a pipe's read end that provides the known passphrases; they are far smaller than a pipe's buffer."""
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "wb") as pipe:
        pipe.write(json.dumps(_known).encode())
    return ours


def unlock_from(descriptor: int) -> None:
    """Remember the passphrases that a file descriptor provides; it may be empty."""
    content = b""
    while piece := os.read(descriptor, _PIECE):
        content += piece
    unlock(json.loads(content) if content else {})

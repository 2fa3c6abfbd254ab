"""Runs the program git without shell, hooks, prompts or submodules, and only with known protocols."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dtk.errors import DtkError

_PROTOCOLS = "file:https:ssh"
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "protocol.ext.allow=never",
    "gc.auto=0",
    "advice.detachedHead=false",
)
_KEPT = (
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    "GIT_SSL_CAINFO",
    "GIT_SSL_NO_VERIFY",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_NOSYSTEM",
)
_LONGEST = 600.0
"""Timeout of a git call in seconds: a large repository may take minutes; a dead connection must not hang a build."""


def git(folder: Path, *words: str, given: bytes | None = None) -> bytes:
    """Run git in a repository and return its standard output.

    Args:
        folder: the repository.
        words: the arguments; untrusted ones must follow ``--`` or ``--end-of-options``.
        given: the standard input.

    Raises:
        DtkError: git is not installed, timed out or failed; the message includes git's own.
    """
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    try:
        done = subprocess.run(
            ["git", *settings, *words],
            cwd=folder,
            env=_environment(),
            input=given if given is not None else b"",
            capture_output=True,
            timeout=_LONGEST,
            check=False,
        )
    except FileNotFoundError:
        raise DtkError("the program git is not installed", hint="install git") from None
    except subprocess.TimeoutExpired:
        raise DtkError(f"git {words[0]} took longer than {_LONGEST:.0f} s") from None
    if done.returncode:
        raise DtkError(_reason(done.stderr.decode(errors="replace")) or f"git {words[0]} failed")
    return done.stdout


def lines(folder: Path, *words: str) -> list[str]:
    """Run git and return the lines of its output."""
    return git(folder, *words).decode(errors="replace").splitlines()


def _environment() -> dict[str, str]:
    """Return an environment in which git asks no questions and uses no other repository."""
    # GIT_DIR and similar variables, set by a hook for instance, would make git work on the user's own repository.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT}
    ssh = kept.get("GIT_SSH_COMMAND") or kept.get("GIT_SSH") or "ssh"
    return {
        **kept,
        # git's messages are parsed for the reason of a failure, so they must not be translated.
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def _reason(text: str) -> str:
    """Return git's error message in one line."""
    written = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line.partition(": ")[2] for line in written if line.startswith(("fatal: ", "error: "))]
    return "; ".join(dict.fromkeys(named or written[-1:]))

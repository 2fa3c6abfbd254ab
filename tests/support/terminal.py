"""Runs a command as a person at a terminal would."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

from tests.support.command_line import Dtk


def at_a_terminal(dtk: Dtk, *words: str, answer: str) -> str:
    """Run a command for a person who has typed the answers already; return what the terminal showed."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "dtk", *words], cwd=dtk.root, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # the terminal's other end is gone: Linux says so with an error
            while piece := os.read(ours, 4096):
                shown += piece
        process.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")

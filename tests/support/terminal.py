"""Runs a command as a person at a terminal would."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.command_line import Dtk


def answering(
    words: Sequence[str],
    answers: Mapping[str, str],
    *,
    cwd: Path | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Run a command for a person who answers each question when it is shown; return its exit code and what was shown.

    ``answers`` are what is typed, by a part of the question; ``meanwhile`` is called after each piece of output.
    """
    ours, theirs = pty.openpty()
    shown, answered = b"", dict.fromkeys(answers, 0)
    # Without a terminal of its own to open: only this one is asked on.
    with subprocess.Popen(
        [sys.executable, "-m", "dtk", *words],
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # the terminal's other end is gone: Linux says so with an error
            while piece := os.read(ours, 4096):
                shown += piece
                meanwhile()
                for question, answer in answers.items():
                    if shown.count(question.encode()) > answered[question]:
                        answered[question] += 1
                        os.write(ours, f"{answer}\n".encode())
        process.wait(120)
    os.close(ours)
    return process.returncode, shown.decode(errors="replace").replace("\r\n", "\n")


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

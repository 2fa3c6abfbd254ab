"""Runs a command at a pseudo-terminal, as a user would."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.command_line import Dtk
from tests.support.waiting import limited


def answering(
    words: Sequence[str],
    answers: Mapping[str, str],
    *,
    cwd: Path | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Run a command and answer each question when it appears. Return the exit code and what the terminal showed.

    ``answers`` maps a part of each question to its answer. ``meanwhile`` is called after each piece of output.
    """
    ours, theirs = pty.openpty()
    shown, answered = b"", dict.fromkeys(answers, 0)
    # Start a new session without a controlling terminal, so that dtk can ask only on this one.
    with (
        subprocess.Popen(
            [sys.executable, "-m", "dtk", *words],
            cwd=cwd,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process,
        limited(process),
    ):
        os.close(theirs)
        with contextlib.suppress(OSError):  # Linux reports a closed other end as an error
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
    """Run a command with the answer already typed and return what the terminal showed."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    shown = b""
    with (
        subprocess.Popen(
            [sys.executable, "-m", "dtk", *words], cwd=dtk.root, stdin=theirs, stdout=theirs, stderr=theirs
        ) as process,
        limited(process),
    ):
        os.close(theirs)
        with contextlib.suppress(OSError):  # Linux reports a closed other end as an error
            while piece := os.read(ours, 4096):
                shown += piece
        process.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")

"""Scripted answers: commands that a local node does not run but answers as a module's test specifies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dtk.model.settings import as_mapping, text

ANSWERS = "DTK_LOCAL_ANSWERS"
"""Environment variable with the path of a JSON list of answers; ``dtk test --apply`` sets it."""


@dataclass
class Answer:
    """One answer: for commands on ``node`` ("" for any) that match ``command``, at most ``times`` times."""

    command: re.Pattern[str]
    node: str = ""
    exit_code: int = 1
    stdout: str = ""
    stderr: str = ""
    times: int | None = None


@dataclass
class Answers:
    """The answers of one node's server, with their remaining uses."""

    node: str = ""
    answers: list[Answer] = field(default_factory=list)

    def to(self, command: str) -> Answer | None:
        """Return the answer to a command and count its use, or None if the command should run."""
        for answer in self.answers:
            is_left = answer.times is None or answer.times > 0
            if is_left and answer.node in ("", self.node) and answer.command.search(command):
                answer.times = None if answer.times is None else answer.times - 1
                return answer
        return None


_READS_SCRIPT = "read -r dtk"
"""Part of the command line of a session that reads its script from standard input (dtk.ssh.delimited)."""
_OCTAL = re.compile(rb"\\0([0-7]{3})")
_BEGIN = re.compile(r"<([0-9a-f]{32})\+>")


def takes_script(command: str | None) -> bool:
    """Return whether a session's command reads a script from standard input."""
    return command is not None and _READS_SCRIPT in command


def script_in(given: bytes) -> str:
    """Return the script in a session's whole standard input: the command with the script around it."""
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), given).decode("utf-8", "replace")


def delimited(script: str, answer: Answer) -> tuple[bytes, bytes]:
    """Return the answered script's output on both streams, with the marks that the script would have printed."""
    found = _BEGIN.search(script)
    begin, end = (found[0], f"<{found[1]}-{answer.exit_code}>") if found else ("", "")
    return f"{begin}{answer.stdout}{end}".encode(), f"{begin}{answer.stderr}{end}".encode()


def load_answers(node: str) -> Answers:
    """Return the answers for a node from the file that the environment names; usually there are none."""
    file = os.environ.get(ANSWERS)
    if not file:
        return Answers()
    entries: list[object] = json.loads(Path(file).read_text(encoding="utf-8"))
    return Answers(node, [_answer(as_mapping(entry)) for entry in entries])


def _answer(entry: Mapping[str, object]) -> Answer:
    return Answer(
        command=re.compile(text(entry, "command")),
        node=text(entry, "node"),
        exit_code=int(text(entry, "exit_code", "1")),
        stdout=text(entry, "stdout"),
        stderr=text(entry, "stderr"),
        times=int(text(entry, "times")) if entry.get("times") is not None else None,
    )

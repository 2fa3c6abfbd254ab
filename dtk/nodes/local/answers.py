"""Scripted answers: commands that a local node does not run, but answers as a module's test says."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ANSWERS = "DTK_LOCAL_ANSWERS"
"""Names a JSON file with a list of answers; ``dtk test --apply`` sets it."""


@dataclass
class Answer:
    """One answer: to commands on ``node`` ("" for any) that ``command`` is found in, at most ``times`` times."""

    command: re.Pattern[str]
    node: str = ""
    exit_code: int = 1
    stdout: str = ""
    stderr: str = ""
    times: int | None = None


@dataclass
class Answers:
    """The answers of one node's server; counts how often each was given."""

    node: str = ""
    answers: list[Answer] = field(default_factory=list)

    def to(self, command: str) -> Answer | None:
        """Return the answer to a command, None when it is to be run."""
        for answer in self.answers:
            is_left = answer.times is None or answer.times > 0
            if is_left and answer.node in ("", self.node) and answer.command.search(command):
                answer.times = None if answer.times is None else answer.times - 1
                return answer
        return None


def load_answers(node: str) -> Answers:
    """Return the answers that the environment names for a node; mostly there are none."""
    file = os.environ.get(ANSWERS)
    if not file:
        return Answers()
    entries: list[dict[str, Any]] = json.loads(Path(file).read_text(encoding="utf-8"))
    return Answers(node, [Answer(**{**entry, "command": re.compile(entry["command"])}) for entry in entries])

"""Scripted answers: commands that a local node does not run, but answers as a module's test says."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dtk.model.settings import as_mapping, text

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

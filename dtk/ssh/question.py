"""A question to machines: a script that each of them runs. As JSON, it is passed to the process that asks them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dtk.nodes.provider import Connection

ASKED_AT_ONCE = 100
"""How many machines are asked at once."""

Answer = Mapping[str, str]
"""What a machine printed (``printed``, ``host_key``), or why it could not be asked (``error``, ``hint``)."""


@dataclass(frozen=True)
class Question:
    """A script for machines, by name; ``known_hosts`` is the file of pinned host keys, which stays unchanged."""

    script: str
    known_hosts: Path
    connections: Mapping[str, Connection]
    passphrases: Mapping[str, str]


def question_text(question: Question) -> str:
    """Return a question as one line. It has passphrases: pass it over a pipe or a socket, never in a file."""
    return json.dumps({**asdict(question), "known_hosts": str(question.known_hosts)})


def read_question(text: str) -> Question:
    """Return the question of ``question_text``."""
    given = json.loads(text)
    connections = {name: Connection(**one) for name, one in given["connections"].items()}
    return Question(given["script"], Path(given["known_hosts"]), connections, given["passphrases"])

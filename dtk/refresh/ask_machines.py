"""Runs a script on machines that no task works on, in a separate process, to find out which service owns them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dtk.apply.worker_ahead import WorkerAhead
from dtk.errors import DtkError
from dtk.nodes.provider import Ask, Connection
from dtk.ssh.passphrases import known_passphrases
from dtk.ssh.question import ASKED_AT_ONCE, Answer, Question, question_text

WORKER = "dtk.refresh.ask_worker"
MOST_ASKED = 250
"""Number of machines that a task's worker asks: more belong to tasks whose connections other processes hold."""
_PATIENCE = 120.0
"""Time limit of the process for each batch of machines, in seconds; the limit per machine is much lower."""


@dataclass(frozen=True)
class Contact:
    """What a machine printed, and the public host key that it presented: ``ssh-ed25519 AAAA…``."""

    printed: str
    host_key: str


def asking(known_hosts: Path, ahead: WorkerAhead | None = None) -> Ask:
    """Return a function that runs a script on machines, using a file of pinned host keys without adding to it.

    Args:
        known_hosts: the file.
        ahead: a worker that waits for its task: it asks, and keeps the connections.
    """

    def ask(connections: Mapping[str, Connection], script: str) -> Mapping[str, str | DtkError]:
        if not connections:
            return {}
        answers = _answers(known_hosts, connections, script, ahead)
        return {name: _error(answer) or answer["printed"] for name, answer in answers.items()}

    return ask


def contact(known_hosts: Path, connection: Connection, script: str) -> Contact:
    """Run a script on one machine, using a file of pinned host keys without adding to it.

    Raises:
        DtkError: the machine can't be reached, refuses the login, or has another host key than the pinned one.
    """
    answer = _answers(known_hosts, {"": connection}, script)[""]
    if error := _error(answer):
        raise error
    return Contact(answer["printed"], answer["host_key"])


def _answers(
    known_hosts: Path, connections: Mapping[str, Connection], script: str, ahead: WorkerAhead | None = None
) -> dict[str, Answer]:
    # Pass the question on standard input or over a socket: other users could read a command line.
    question = Question(script, known_hosts, connections, known_passphrases())
    patience = _PATIENCE * math.ceil(len(connections) / ASKED_AT_ONCE)
    request = question_text(question)
    if ahead and len(connections) <= MOST_ASKED and (answered := ahead.ask(request, patience)):
        return dict(json.loads(answered))
    command = [sys.executable, "-P", "-m", WORKER]
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        raise DtkError(f"the target did not respond within {patience:.0f} s") from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise DtkError(f"could not check the machines: {last or f'exit code {done.returncode}'}")
    return dict(json.loads(done.stdout))


def _error(answer: Answer) -> DtkError | None:
    return DtkError(answer["error"], hint=answer.get("hint", "")) if "error" in answer else None

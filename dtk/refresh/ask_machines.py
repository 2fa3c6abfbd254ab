"""Runs a script on machines that no task works on, in a separate process, to find out which service owns them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from dtk.errors import DtkError
from dtk.nodes.provider import Ask, Connection
from dtk.ssh.passphrases import known_passphrases

WORKER = "dtk.refresh.ask_worker"
_PATIENCE = 120.0
"""Time limit of the process, in seconds; the limit per machine is much lower."""


def asking(known_hosts: Path) -> Ask:
    """Return a function that runs a script on machines, using a file of pinned host keys without adding to it."""

    def ask(connections: Mapping[str, Connection], script: str) -> Mapping[str, str | DtkError]:
        if not connections:
            return {}
        documents = {name: asdict(one) for name, one in connections.items()}
        asked = {"known_hosts": str(known_hosts), "script": script, "connections": documents}
        # Pass the request on standard input: other users could read a command line.
        request = json.dumps({**asked, "passphrases": known_passphrases()})
        command = [sys.executable, "-P", "-m", WORKER]
        try:
            done = subprocess.run(
                command, input=request, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            raise DtkError(f"the target did not respond within {_PATIENCE:.0f} s") from None
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2]
            raise DtkError(f"could not check the machines: {last or f'exit code {done.returncode}'}")
        return {name: _answer(answered) for name, answered in json.loads(done.stdout).items()}

    return ask


def _answer(answered: Mapping[str, str]) -> str | DtkError:
    return answered["printed"] if "printed" in answered else DtkError(answered["error"], hint=answered.get("hint", ""))

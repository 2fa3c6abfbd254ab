"""Runs the real command line in a workspace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Dtk:
    """Runs dtk in a workspace. ``program`` is the Python arguments that start dtk."""

    root: Path
    program: tuple[str, ...] = ("-m", "dtk")

    def run(self, *words: str, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command. Fail the test if its exit code is not ``code`` (None: any)."""
        done = subprocess.run(
            [sys.executable, *self.program, *words],
            cwd=self.root,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if code is not None:
            assert done.returncode == code, f"dtk {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command and return without waiting for it."""
        return subprocess.Popen(
            [sys.executable, *self.program, *words],
            cwd=self.root,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def events(self, service: str, task: int) -> list[dict[str, Any]]:
        log = self.root / ".dtk" / "services" / service / "tasks" / str(task) / "events.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()]

    def files_left(self, service: str) -> list[str]:
        """Return the paths of a service's files below .dtk on this machine."""
        folder = self.root / ".dtk/services" / service
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    def addresses(self, service: str) -> dict[str, str]:
        return {node["node"]: node["attributes"]["host_address"] for node in self.json("list-nodes", service)}

"""The real command line on real local nodes: every test gets a workspace, and leaves no process and no file behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE = 60.0


@dataclass(frozen=True)
class Dtk:
    """Runs dtk in a workspace."""

    root: Path

    def run(self, *words: str, code: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one command; fail the test unless it ends with ``code`` (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "dtk", *words],
            cwd=self.root,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if code is not None:
            assert done.returncode == code, f"dtk {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-m", "dtk", *words],
            cwd=self.root,
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

    def addresses(self, service: str) -> dict[str, str]:
        return {node["node"]: node["attributes"]["host_address"] for node in self.json("list-nodes", service)}


def eventually(what: Callable[[], Any], why: str) -> Any:
    """Wait until something is so; fail with the reason when it never is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never happened: {why}")


def node_processes(mark: str) -> list[psutil.Process]:
    """Return the processes whose environment names a node of this workspace's services."""
    return [process for process in psutil.process_iter() if mark in _node_mark(process)]


def runs(*words: str) -> list[psutil.Process]:
    """Return the processes on local nodes whose command line holds all these words."""
    return [process for process in node_processes("/") if set(words) <= set(_command_line(process))]


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _node_mark(process: psutil.Process) -> str:
    try:
        return process.environ().get("DTK_NODE", "")
    except (psutil.Error, OSError):
        return ""


@pytest.fixture
def dtk(tmp_path: Path) -> Iterator[Dtk]:
    runner = Dtk(tmp_path / "workspace")
    runner.root.mkdir()
    runner.run("init")
    yield runner
    for service in sorted(path.parent.name for path in runner.root.glob("services/*/service.yaml")):
        runner.run("cancel-task", service, code=None)
        runner.run("delete-and-destroy", service, "--yes", "--force", "--lock-wait", "60s", code=None)
    # A worker that has closed its log is still ending for a moment.
    _, left = psutil.wait_procs([p for p in psutil.process_iter() if _works_in(p, runner.root)], timeout=10)
    for process in left:
        process.kill()
    assert not left, f"left running: {left}"


def _works_in(process: psutil.Process, root: Path) -> bool:
    try:
        return str(root) in " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False


@pytest.fixture
def module(dtk: Dtk) -> Path:
    """A small module that needs nothing from a network: writes files, serves a port, computes."""
    folder = dtk.root / "modules" / "acme" / "ring"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text((Path(__file__).parent / "ring.module.yaml").read_text())
    return folder

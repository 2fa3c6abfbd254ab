"""The Dask module on real local nodes with Dask from PyPI: deployed, scaled, failed, resumed, destroyed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.page import run_page

SERVICE = "dask1"
LONGEST_COMMAND = 300  # seconds; a deployment takes about 20 on an idle machine


class Dtk:
    """The command line in a workspace of its own."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run one command, check its exit code, return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "dtk", *arguments],
            cwd=self.workspace,
            env=os.environ | {"COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_COMMAND,
            check=False,
        )
        assert done.returncode == code, (
            f"dtk {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout + done.stderr


def node_processes(lineage: str) -> list[psutil.Process]:
    """Return the processes of a service's local nodes."""
    found = []
    for process in psutil.process_iter():
        try:
            marker = process.environ().get("DTK_NODE", "")
        except psutil.Error:
            continue
        if marker.startswith(lineage):
            found.append(process)
    return found


@pytest.fixture
def dtk(tmp_path: Path) -> Iterator[Dtk]:
    dtk = Dtk(tmp_path)
    dtk.run("init")
    yield dtk
    if (tmp_path / "services" / SERVICE).exists():
        dtk.run("delete-and-destroy", SERVICE, "--yes")


def test_the_first_tutorial_deploys_scales_and_destroys_a_cluster(tmp_path: Path) -> None:
    try:
        assert run_page("first-cluster.md", tmp_path) == 18
    finally:
        if (tmp_path / "services" / SERVICE).exists():
            Dtk(tmp_path).run("delete-and-destroy", SERVICE, "--yes")
    # The logs outlive the service. A node's id begins with the service's id.
    events = [json.loads(line) for log in tmp_path.rglob("events.jsonl") for line in log.read_text().splitlines()]
    machines = {event["id"].partition("/")[0] for event in events if event["type"] == "node.changed" and event["id"]}
    assert len(machines) == 1
    assert node_processes(machines.pop()) == []
    assert not (tmp_path / ".dtk/services" / SERVICE / "state.json").exists()


def test_a_taken_port_fails_with_its_reason_and_resume_succeeds_once_it_is_free(dtk: Dtk) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        dtk.run("stage", "dtk:dask/cluster", SERVICE, "--set", f"slaves/dask::worker/port={port}")
        failed = dtk.run("apply", SERVICE, "--yes", code=1)
    assert "Address already in use" in failed
    assert "Address already in use" in dtk.run("task-status", SERVICE)

    resumed = dtk.run("apply", SERVICE, "--resume", "--yes")
    assert "computed by 2 of 2 workers" in resumed
    assert "dask environment" not in resumed

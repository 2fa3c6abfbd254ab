"""The Dask module on real local nodes with Dask from PyPI: deployed, scaled, failed, resumed, destroyed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

SERVICE = "dask1"
LONGEST_COMMAND = 300  # seconds; a deployment takes about 20 on a quiet machine


class Dtk:
    """The command line in a workspace of its own."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run one command, check its exit code, return what it printed."""
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

    def scale(self, cardinality: int) -> str:
        self.run("set-attribute", SERVICE, "slaves/cardinality", str(cardinality))
        return self.run("apply", SERVICE, "--yes")

    @property
    def state(self) -> Any:
        return json.loads((self.workspace / ".dtk" / "services" / SERVICE / "state.json").read_text())


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


def test_a_cluster_grows_and_shrinks_and_computes_each_time(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:dask/cluster", SERVICE)
    assert "computed by 2 of 2 workers" in dtk.run("apply", SERVICE, "--yes")
    assert dtk.run("plan", SERVICE, "--detailed-exitcode")
    registered = dtk.run("grep", SERVICE, "log", "slaves", "Registered to")
    assert {"slaves:1", "slaves:2"} == {line.split()[0] for line in registered.splitlines()}
    assert "Scheduler at" in dtk.run("logs", SERVICE, "master", "dask::scheduler/log", "--lines", "1000")

    assert "computed by 4 of 4 workers" in dtk.scale(4)

    dtk.run("set-attribute", SERVICE, "slaves/cardinality", "2")
    assert set(dtk.state["nodes"]) == {"master", "slaves:1", "slaves:2", "slaves:3", "slaves:4"}
    assert "computed by 2 of 2 workers" in dtk.run("apply", SERVICE, "--yes")
    assert set(dtk.state["nodes"]) == {"master", "slaves:1", "slaves:2"}

    lineage = dtk.state["lineage"]
    dtk.run("delete-and-destroy", SERVICE, "--yes")
    assert node_processes(lineage) == []
    assert not (dtk.workspace / ".dtk" / "services" / SERVICE / "state.json").exists()


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

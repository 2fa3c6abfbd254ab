"""The real command line on real local nodes: every test gets a workspace, and leaves no process and no file behind."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dtk.__main__ import run as run_dtk
from tests.support.command_line import Dtk


@pytest.fixture
def dtk(tmp_path: Path) -> Iterator[Dtk]:
    runner = Dtk(tmp_path / "workspace")
    with contextlib.redirect_stdout(io.StringIO()):  # in this process: what starts, starts some hundred times
        assert run_dtk(["init", str(runner.root)]) == 0
    yield runner
    for service in sorted(path.parent.name for path in runner.root.glob("services/*/service.yaml")):
        _destroy(runner, service)
    # A worker that has closed its log is still ending for a moment.
    _, left = psutil.wait_procs([p for p in psutil.process_iter() if _works_in(p, runner.root)], timeout=10)
    for process in left:
        process.kill()
    assert not left, f"left running: {left}"


def _destroy(runner: Dtk, service: str) -> None:
    """End what a service has, and the task that still runs; a service that was never applied has nothing."""
    if not (runner.root / ".dtk" / "services" / service).exists():
        return
    if runner.run("delete-and-destroy", service, "--yes", "--force", code=None).returncode:
        runner.run("cancel-task", service, code=None)
        runner.run("delete-and-destroy", service, "--yes", "--force", "--lock-wait", "60s", code=None)


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

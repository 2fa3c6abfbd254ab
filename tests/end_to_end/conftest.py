"""Fixtures for the real command line on real local nodes.

Every test gets its own workspace. Teardown fails if a process is left running.
"""

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
    with contextlib.redirect_stdout(io.StringIO()):  # in this process: starting hundreds is slow
        assert run_dtk(["init", str(runner.root)]) == 0
    yield runner
    for service in sorted(path.parent.name for path in runner.root.glob("services/*/service.yaml")):
        _destroy(runner, service)
    # A worker that has closed its log still needs a moment to exit.
    _, left = psutil.wait_procs([p for p in psutil.process_iter() if _works_in(p, runner.root)], timeout=10)
    for process in left:
        process.kill()
    assert not left, f"left running: {left}"


def _destroy(runner: Dtk, service: str) -> None:
    """Destroy the nodes of a service and cancel its running task; do nothing if the service was never applied."""
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
    """Install a small module that needs no network: it writes files, serves a port and computes."""
    folder = dtk.root / "modules" / "acme" / "ring"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text((Path(__file__).parent / "ring.module.yaml").read_text())
    return folder

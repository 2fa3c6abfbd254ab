"""Workspaces to measure in: the flagship module with many members, staged or as if converged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DTK = str(Path(sys.executable).with_name("dtk"))
SERVICE = "spark1"


def quietly(*words: str | Path, folder: Path) -> None:
    """Run a command that is not measured."""
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def spark(folder: Path, slaves: int) -> Path:
    """Create a workspace with one staged Spark cluster of ``slaves`` slaves."""
    folder.mkdir()
    quietly(DTK, "init", folder=folder)
    quietly(DTK, "stage", "bigtop:spark/cluster", SERVICE, "--set", f"slaves/cardinality={slaves}", folder=folder)
    return folder


def converged(folder: Path) -> Path:
    """Write the state that a workspace's service would have if its plan had been applied."""
    from dtk.plan.simulation import applied
    from dtk.service.planning import make_plan
    from dtk.state.store import save_state
    from dtk.state.workspace import Workspace

    workspace = Workspace(folder)
    plan, inputs = make_plan(workspace, SERVICE)
    save_state(workspace.state_file(SERVICE), applied(plan, inputs.state))
    return folder

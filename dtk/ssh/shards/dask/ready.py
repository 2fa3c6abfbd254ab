"""Checks before a task starts that its Dask cluster can be used."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.executor import Executor

CHECK = "dtk.ssh.shards.dask.check"


def ready(executor: Executor, folder: Path) -> Executor:
    """Return an executor with its number of processes: one for each Dask worker, unless it says another number.

    Args:
        executor: where the task's connections are held.
        folder: the paths of TLS files are relative to it.

    Raises:
        DtkError: Dask is not installed, or the cluster can't be used.
    """
    if executor.dask is None:
        return executor
    if find_spec("distributed") is None:
        raise DtkError(
            "executor in dtk.yaml says dask, but Dask is not installed", hint="pip install 'dtk-cluster[dask]'"
        )
    # In a process of its own: Dask's threads and its event loop must not stay in this one, which starts others.
    words = [sys.executable, "-P", "-m", CHECK, executor.to_word()]
    checked = subprocess.run(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=folder, check=False)
    found = json.loads(checked.stdout or b"{}")
    if "workers" not in found:
        message = found.get("error") or f"the check of the Dask cluster ended with code {checked.returncode}"
        raise DtkError(f"nothing was done: {message}", hint=found.get("hint", ""))
    return replace(executor, workers=executor.workers or found["workers"])

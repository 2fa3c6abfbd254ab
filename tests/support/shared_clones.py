"""Clones of one workspace that share a folder store, with leases of a few seconds."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.command_line import Dtk

LEASE = 9.0
"""The lease time in seconds. Others can take over a service after 1.5 times this time."""

# dtk.yaml allows no lease below 30 s, so patch dtk. The launcher passes the lease on to all processes that hold it.
_SHORT_LEASE = f"""
import dataclasses, os
from dtk.service import shared_store
found = shared_store.store_settings_of
def short(workspace):
    settings = found(workspace)
    return settings and dataclasses.replace(settings, lease={LEASE})
shared_store.store_settings_of = short
from dtk.__main__ import main
main()
"""


def command_with_short_lease(file: Path) -> None:
    """Write a dtk program with a short lease, for callers that run ``dtk`` by name."""
    file.write_text(f"#!{sys.executable}\n{_SHORT_LEASE}")
    file.chmod(0o755)


@dataclass(frozen=True)
class Team:
    """A workspace in git, its store, and its clones."""

    folder: Path
    store: Path

    @property
    def origin(self) -> Path:
        """The folder of the committed workspace."""
        return self.folder / "origin"

    def clone(self, name: str) -> Dtk:
        """Return a fresh clone: everything in git, without .dtk."""
        root = self.folder / name
        shutil.copytree(self.origin, root, ignore=shutil.ignore_patterns(".dtk"))
        return Dtk(root, ("-c", _SHORT_LEASE))

    def head(self, service: str) -> dict[str, Any]:
        """Return the head of a service in the store."""
        found: dict[str, Any] = json.loads((self.store / f"services/{service}/head.json").read_text())
        return found


def found_team(folder: Path, module: str, store: str = "{type: folder, path: ../store}") -> Team:
    """Create a workspace with a module and a store, by default a folder next to the clones."""
    team = Team(folder, folder / "store")
    team.origin.mkdir(parents=True)
    Dtk(team.origin).run("init")
    (team.origin / "modules/acme/ring").mkdir(parents=True)
    (team.origin / "modules/acme/ring/dtk.module.yaml").write_text(module)
    with (team.origin / "dtk.yaml").open("a") as file:
        file.write(f"store: {store}\n")
    return team


def task_processes(dtk: Dtk, service: str) -> dict[str, psutil.Process]:
    """Return the processes of the task that runs in a clone, with the keys ``worker`` and ``shipper``."""
    tasks = str(dtk.root / ".dtk/services" / service / "tasks")
    found = {}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "dtk.apply.worker" in words and any(tasks in word for word in words):
                found["worker"] = process
            if "dtk.store.shipper" in words and process.cwd() == str(dtk.root):
                found["shipper"] = process
        except (psutil.Error, OSError):
            continue
    return found

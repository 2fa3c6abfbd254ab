"""Frees disk space: removes what a workspace no longer needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from dtk.apply.task_folder import FILES
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Freed:
    """The module files removed for a service: the number of tasks and the size in bytes."""

    service: str
    tasks: int
    size: int


def remove_copies_of_module_files(workspace: Workspace, services: Iterable[str]) -> list[Freed]:
    """Remove the copies of module files that tasks made, except those of each service's last task.

    The last task may be running. A resume is a new task with its own copies. Plans and logs stay.
    """
    freed = []
    for service in services:
        copies = [workspace.task_folder(service, number) / FILES for number in workspace.task_numbers(service)[:-1]]
        present = [folder for folder in copies if folder.is_dir()]
        size = sum(file.lstat().st_size for folder in present for file in folder.rglob("*") if not file.is_dir())
        for folder in present:
            shutil.rmtree(folder)
        freed.append(Freed(service, len(present), size))
    return freed

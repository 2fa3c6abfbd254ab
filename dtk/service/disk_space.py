"""What a workspace keeps on disk and no longer needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from dtk.apply.task_folder import FILES
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Freed:
    """What was removed of a service: of how many tasks the module files, and their bytes."""

    service: str
    tasks: int
    size: int


def remove_copies_of_module_files(workspace: Workspace, services: Iterable[str]) -> list[Freed]:
    """Remove the copies of module files that tasks took with them, but for each service's last task.

    That one may be running. A resume is a task of its own, with copies of its own; plans and logs stay.
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

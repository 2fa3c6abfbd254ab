"""Removes the local data of a destroyed service; the logs of its tasks stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from dtk.disk.files import sync_folder
from dtk.state.lock import LOCK_FILE
from dtk.state.store import journal_of
from dtk.state.workspace import Workspace


def forget_service(workspace: Workspace, service: str) -> None:
    """Remove a service's state, keys, host keys and plans. The caller holds its lock; its event logs stay.

    The state is removed first, in one step: after a crash no plan is made from half of it, and a repeated call
    continues.
    """
    folder, state = workspace.service_folder(service), workspace.state_file(service)
    if not folder.is_dir():
        return
    journal_of(state).unlink(missing_ok=True)
    state.unlink(missing_ok=True)
    sync_folder(folder)
    for path in _left(workspace, service):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for task in workspace.task_numbers(service):
        if not workspace.event_log(service, task).exists():
            shutil.rmtree(workspace.task_folder(service, task), ignore_errors=True)
        else:
            sync_folder(workspace.task_folder(service, task))
    sync_folder(folder)


def _left(workspace: Workspace, service: str) -> Iterator[Path]:
    folder, tasks = workspace.service_folder(service), workspace.tasks(service)
    # Keep the record of the last read from the store: it shows that a store is used.
    kept = {folder / LOCK_FILE, tasks, workspace.store_file(service)}
    yield from (path for path in folder.iterdir() if path not in kept)
    for number in workspace.task_numbers(service):
        log = workspace.event_log(service, number)
        yield from (path for path in log.parent.iterdir() if path.name not in _kept_of(log))


def _kept_of(log: Path) -> tuple[str, str]:
    """Return the names of a log and of the file that records how much of it was copied here from the store."""
    return log.name, f"{log.name}.shipped"

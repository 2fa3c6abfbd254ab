"""Takes away what is left of a service on this machine once its last node is gone."""

from __future__ import annotations

import shutil

from dtk.state.files import sync_folder
from dtk.state.workspace import Workspace


def remove_service(workspace: Workspace, service: str, lineage: str) -> None:
    """Remove a service's desired state and local state; its lock is held, and goes with them.

    The local state is moved aside first, in one step: whoever waits for the lock finds no half-removed service, and
    after a crash the same command goes on with what is left of the desired state.
    """
    local = workspace.service_folder(service)
    local.rename(workspace.removed_folder(service, lineage))
    sync_folder(local.parent)
    workspace.service_file(service).unlink(missing_ok=True)
    folder = workspace.service_file(service).parent
    if folder.is_dir():
        sync_folder(folder)
        if not any(folder.iterdir()):
            folder.rmdir()
            sync_folder(folder.parent)
    clear_removed(workspace)
    sync_folder(local.parent)


def clear_removed(workspace: Workspace) -> None:
    """Delete the local state of services that are gone, keys included, also what a killed worker left of it."""
    for folder in workspace.removed_folders():
        shutil.rmtree(folder, ignore_errors=True)

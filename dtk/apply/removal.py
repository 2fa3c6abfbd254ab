"""Takes away what is left of a service on this machine once its last node is gone."""

from __future__ import annotations

import shutil

from dtk.state.workspace import Workspace


def remove_service(workspace: Workspace, service: str, lineage: str) -> None:
    """Remove a service's desired state and local state; its lock is held, and goes with them.

    The local state is moved aside first, in one step: whoever waits for the lock finds no half-removed service.
    """
    workspace.service_file(service).unlink(missing_ok=True)
    folder = workspace.service_file(service).parent
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    local = workspace.service_folder(service)
    aside = local.with_name(f".{service}.{lineage}.removed")
    local.rename(aside)
    shutil.rmtree(aside)

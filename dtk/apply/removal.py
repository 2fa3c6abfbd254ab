"""Removes what is left of a service on this machine after its last node is gone."""

from __future__ import annotations

from dtk.disk.files import sync_folder
from dtk.state.forgetting import forget_service
from dtk.state.workspace import Workspace


def remove_service(workspace: Workspace, service: str) -> None:
    """Remove a service's desired state, and its local state except the logs; the caller holds its lock.

    The desired state is removed last: after a crash, the same command continues.
    """
    forget_service(workspace, service)
    workspace.service_file(service).unlink(missing_ok=True)
    folder = workspace.service_file(service).parent
    if folder.is_dir():
        sync_folder(folder)
        if not any(folder.iterdir()):
            folder.rmdir()
            sync_folder(folder.parent)

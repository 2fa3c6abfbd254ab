"""Takes away what is left of a service on this machine once its last node is gone."""

from __future__ import annotations

from dtk.state.files import sync_folder
from dtk.state.forgetting import forget_service
from dtk.state.workspace import Workspace


def remove_service(workspace: Workspace, service: str) -> None:
    """Remove a service's local state but its logs, and its desired state; its lock is held.

    The desired state goes last: after a crash the same command goes on.
    """
    forget_service(workspace, service)
    workspace.service_file(service).unlink(missing_ok=True)
    folder = workspace.service_file(service).parent
    if folder.is_dir():
        sync_folder(folder)
        if not any(folder.iterdir()):
            folder.rmdir()
            sync_folder(folder.parent)

"""Cancels a task wherever it runs: by a signal on this machine, otherwise by a request in the shared store."""

from __future__ import annotations

import json
import os
import socket

from dtk.apply.cancel import cancel_task, not_running_error, running_task
from dtk.service.shared_store import open_store, refuse_offline
from dtk.state.author import this_user
from dtk.state.workspace import Workspace


def cancel_anywhere(workspace: Workspace, service: str, number: int | None = None) -> int:
    """Ask the running task of a service to stop; on this machine, a second call stops it at once.

    Args:
        workspace: the workspace.
        service: the name of the service.
        number: the task to cancel, or None for the running one.

    Returns:
        The number of the task.

    Raises:
        UsageError: that task is not running.
        StoreError: the store is unreachable or refuses the request.
    """
    store = open_store(workspace)
    if store is None or running_task(workspace, service) is not None:
        return cancel_task(workspace, service, number)
    from dtk.store.layout import ServiceKeys  # noqa: PLC0415 - only with a store
    from dtk.store.mirror import head_now  # noqa: PLC0415
    from dtk.store.objects import put_once  # noqa: PLC0415

    refuse_offline(workspace)
    found = head_now(store.objects, service)
    if found is None or not found.running or number not in (None, found.running):
        raise not_running_error(service, number, found.running if found else 0)
    asked = json.dumps({"host": socket.gethostname(), "user": this_user(os.environ)}).encode()
    # An earlier request of somebody else has the same effect.
    put_once(store.objects, ServiceKeys(service).cancel(found.running, found.head.epoch), asked)
    return found.running

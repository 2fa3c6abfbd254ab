"""Asks the worker of a running task to stop."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

from dtk.errors import DtkError, UsageError
from dtk.state.lock import Holder, holder
from dtk.state.workspace import Workspace


def running_task(workspace: Workspace, service: str) -> Holder | None:
    """Return the process that runs a service's task now, or None if no task runs."""
    found = holder(workspace.service_folder(service))
    return found if found is not None and found.task else None


def not_running_error(service: str, number: int | None, running: int) -> UsageError:
    """Return the error for a task that can't be cancelled.

    ``number`` is the requested task, None for any; ``running`` is the service's running task, 0 for none.
    """
    if not running:
        return UsageError("No running tasks found", hint=f"dtk task-status {service}")
    return UsageError(f"task {number} of '{service}' is not running; task {running} is")


def cancel_task(workspace: Workspace, service: str, number: int | None = None) -> int:
    """Ask the running task's worker to stop; a second call makes it stop at once.

    Args:
        workspace: the workspace.
        service: the service.
        number: the task to cancel, None for whichever runs.

    Returns:
        The task's number.

    Raises:
        UsageError: that task does not run.
        DtkError: it runs on another machine.
    """
    found = running_task(workspace, service)
    if found is None or number not in (None, found.task):
        raise not_running_error(service, number, found.task if found else 0)
    if found.host != socket.gethostname():
        raise DtkError(f"task {found.task} runs on {found.host}, as process {found.pid}", hint="cancel it there")
    # The task may have ended in the meantime; then there is nothing to cancel.
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    return found.task

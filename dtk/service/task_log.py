"""The tasks of a service, read from their logs: which one is the newest, and how it ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtk.errors import UsageError
from dtk.events.fold import fold_log
from dtk.events.tree import Task
from dtk.model.names import DESTROY
from dtk.service.context import chosen_with_logs, current_workspace
from dtk.service.global_options import notify
from dtk.service.shared_store import read_logs, runs_elsewhere
from dtk.state.lock import holder
from dtk.state.workspace import Workspace

SILENCE_OF_THE_DEAD = 60.0
"""Seconds without a new line after which the writer of a log file counts as dead; it writes at least every 10 s."""

FIRST_EVENTS_SECONDS = 0.2
"""Pause in seconds before an empty log is checked again; the store itself is queried less often."""


@dataclass(frozen=True)
class TaskLog:
    """The requested log. ``workspace``, ``service`` and ``number`` are None, "" and 0 for a log file."""

    path: Path
    is_alive: Callable[[], bool]
    workspace: Workspace | None = None
    service: str = ""
    number: int = 0

    def task(self) -> Task:
        """Return the task as recorded in its log now."""
        # Check the writer before reading, otherwise events that it wrote before it died could be missed.
        alive = self.is_alive()
        return fold_log(self.path, writer_alive=alive)


def named_log(service: str | None, number: int | None, file: Path | None) -> TaskLog:
    """Return the requested log: a file, else the log of a service's task, else that of its newest task.

    Raises:
        UsageError: there is no such service or task.
    """
    if file is not None:
        return TaskLog(file, _recently_written(file))
    workspace = current_workspace()
    name = chosen_with_logs(workspace, service)
    task = chosen_task(workspace, name, number)
    return TaskLog(workspace.event_log(name, task), is_running(workspace, name, task), workspace, name, task)


def _recently_written(log: Path) -> Callable[[], bool]:
    """Return a check for a log file whose writer is unknown: it counts as alive while the file is written to."""

    def alive() -> bool:
        with suppress(OSError):
            return time.time() - log.stat().st_mtime < SILENCE_OF_THE_DEAD
        return False

    return alive


def read_task(workspace: Workspace, service: str, number: int) -> Task:
    """Return one task as recorded in its log, including that its worker is dead."""
    alive = is_running(workspace, service, number)()
    return fold_log(workspace.event_log(service, number), writer_alive=alive)


def last_task(workspace: Workspace, service: str) -> Task | None:
    """Return the newest task of a service, or None; ignore one that destroyed an earlier service of this name."""
    numbers = logged_tasks(workspace, service)
    task = read_task(workspace, service, numbers[-1]) if numbers else None
    return None if task is not None and task.type == DESTROY and task.status == "succeeded" else task


def logged_tasks(workspace: Workspace, service: str) -> list[int]:
    """Return the numbers of a service's tasks that have a log, oldest first, including those in the shared store."""
    read_logs(workspace, service)
    return _numbers(workspace, service)


def _numbers(workspace: Workspace, service: str) -> list[int]:
    logs = {number: workspace.event_log(service, number) for number in workspace.task_numbers(service)}
    # A killed command may leave an empty log: nothing is recorded of that task.
    return [number for number, log in logs.items() if _has_events(log)]


def _has_events(log: Path) -> bool:
    return log.exists() and log.stat().st_size > 0


def chosen_task(workspace: Workspace, service: str, number: int | None) -> int:
    """Return the requested task: the given one, else the newest.

    If the task has just started on another machine, wait for its first events, which arrive after its start is known.

    Raises:
        UsageError: there is no such task.
    """
    running = read_logs(workspace, service)
    if running and number in (None, running):
        _await_events(workspace, service, running)
    numbers = _numbers(workspace, service)
    if not numbers:
        raise UsageError(f"No tasks found for assembly ({service})", hint=f"dtk plan {service}")
    if number is None:
        return numbers[-1]
    if number in numbers:
        return number
    raise UsageError(f"no task {number} of '{service}'; existing tasks: {', '.join(map(str, numbers))}")


def _await_events(workspace: Workspace, service: str, running: int) -> None:
    """Wait until the first events of a running task arrive, or until the task has ended."""
    log, alive = workspace.event_log(service, running), is_running(workspace, service, running)
    while not _has_events(log) and alive() and not _has_events(log):
        notify(f"{service}: task {running} has begun; waiting for its first events")
        time.sleep(FIRST_EVENTS_SECONDS)


def is_running(workspace: Workspace, service: str, number: int) -> Callable[[], bool]:
    """Return a function that returns whether a task's worker is alive.

    The worker holds the service's lock on this machine, or its lease in the shared store; in the latter case each call
    also fetches new events of the log.
    """
    folder, elsewhere = workspace.service_folder(service), runs_elsewhere(workspace, service, number)

    def alive() -> bool:
        found = holder(folder)
        # This process may hold the lock itself while it plans the next task.
        if found is not None and found.pid != os.getpid() and found.task == number:
            return True
        if elsewhere is not None:
            return elsewhere()
        return found is not None and found.pid != os.getpid() and not found.task

    return alive

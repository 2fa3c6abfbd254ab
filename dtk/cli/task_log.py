"""A service's tasks as their logs tell: which is the latest, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

from dtk.errors import UsageError
from dtk.events.fold import fold
from dtk.events.reading import read_log
from dtk.events.tree import Task
from dtk.state.lock import holder
from dtk.state.workspace import Workspace


def read_task(workspace: Workspace, service: str, number: int) -> Task:
    """Return one task as its log tells it; a log whose worker is gone tells that, too."""
    reading = read_log(workspace.event_log(service, number))
    return fold(reading.events, writer_alive=is_running(workspace, service, number)(), notes=reading.notes)


def last_task(workspace: Workspace, service: str) -> Task | None:
    """Return a service's newest task, None when it never had one."""
    numbers = logged_tasks(workspace, service)
    return read_task(workspace, service, numbers[-1]) if numbers else None


def logged_tasks(workspace: Workspace, service: str) -> list[int]:
    """Return the numbers of a service's tasks that have a log, oldest first."""
    return [n for n in workspace.task_numbers(service) if workspace.event_log(service, n).exists()]


def chosen_task(workspace: Workspace, service: str, number: int | None) -> int:
    """Return the task meant: the one given, else the newest.

    Raises:
        UsageError: there is no such task.
    """
    numbers = logged_tasks(workspace, service)
    if not numbers:
        raise UsageError(f"No tasks found for assembly ({service})", hint=f"dtk plan {service}")
    if number is None:
        return numbers[-1]
    if number in numbers:
        return number
    raise UsageError(f"no task {number} of '{service}': it has {', '.join(map(str, numbers))}")


def is_running(workspace: Workspace, service: str, number: int) -> Callable[[], bool]:
    """Return a function that says whether a task's worker still lives: it holds the service's lock."""
    folder = workspace.service_folder(service)

    def alive() -> bool:
        found = holder(folder)
        return found is not None and found.task in (0, number)

    return alive

"""The earlier tasks of a service: their logs are beside the task's own log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dtk.events.expected_times import Expectation, learn
from dtk.events.fold import fold_log
from dtk.events.tree import Task

REMEMBERED = 5
"""How many earlier tasks to learn durations from: enough for a median, few enough to read quickly."""


def earlier_logs(log: Path) -> list[Path]:
    """Return the logs of the tasks before a task, newest first; none for a log outside of a tasks folder.

    Args:
        log: a task's log, ``…/tasks/NUMBER/events.jsonl``.
    """
    folder = log.absolute().parent
    if not folder.name.isdigit():
        return []
    numbers = [int(entry.name) for entry in folder.parent.iterdir() if entry.name.isdigit()]
    earlier = sorted((number for number in numbers if number < int(folder.name)), reverse=True)
    logs = [folder.parent / str(number) / log.name for number in earlier]
    return [path for path in logs if path.is_file()]


def earlier_tasks(log: Path, most: int = REMEMBERED) -> Iterator[Task]:
    """Yield at most ``most`` tasks before a task, newest first; their workers have ended."""
    for path in earlier_logs(log)[:most]:
        yield fold_log(path, writer_alive=False)


def learned_expectation(log: Path) -> Expectation:
    """Return the expected durations of a task's steps, learned from the service's earlier tasks."""
    return learn(earlier_tasks(log))

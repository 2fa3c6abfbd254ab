"""``dtk list-tasks``: a service's tasks, newest first."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.events.tree import Task
from dtk.model.json_data import Json
from dtk.service.context import chosen_with_logs, current_workspace
from dtk.service.task_log import logged_tasks, read_task
from dtk.views.formatting import duration_text, one_line, table_time
from dtk.views.listing_table import format_table
from dtk.views.snapshot_table import status_text


def list_tasks(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List a service's tasks, newest first.

    Example: dtk list-tasks dask1
    """
    workspace = current_workspace()
    name = chosen_with_logs(workspace, service)
    tasks = {number: read_task(workspace, name, number) for number in reversed(logged_tasks(workspace, name))}
    if as_json:
        print_json([_document(number, task) for number, task in tasks.items()])
        return
    headers = ["id", "task_type", "status", "steps", "duration", "started (utc)", "ended (utc)", "by", "commit"]
    typer.echo(format_table(headers, [_row(number, task) for number, task in tasks.items()]), nl=False)


def _row(number: int, task: Task) -> list[str]:
    leaves = list(task.leaves())
    steps = f"{sum(leaf.status == 'succeeded' for leaf in leaves)} of {len(leaves)}"
    times = [duration_text(task.duration), table_time(task.started_at), table_time(task.ended_at)]
    by = [one_line(task.by.who), one_line(task.by.source)]
    return [str(number), task.title, status_text(task.status), steps, *times, *by]


def _document(number: int, task: Task) -> dict[str, Json]:
    leaves = list(task.leaves())
    return {
        "task": number,
        "task_type": task.type,
        "status": task.status,
        "steps": len(leaves),
        "succeeded": sum(leaf.status == "succeeded" for leaf in leaves),
        "duration": task.duration,
        "started_at": task.started_at.isoformat() if task.started_at else None,
        "ended_at": task.ended_at.isoformat() if task.ended_at else None,
        "by": task.by.document(),
    }

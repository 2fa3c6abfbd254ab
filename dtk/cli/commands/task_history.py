"""``dtk list-tasks``, ``dtk task-action-detail`` and ``dtk replay``: what tasks did."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dtk.cli.options import JsonOption, LogOption, ServiceArgument, TaskArgument
from dtk.cli.output import print_json, use_color
from dtk.errors import UsageError
from dtk.events.log import utc_now
from dtk.events.tree import Task
from dtk.service.context import chosen_service, current_workspace
from dtk.service.task_log import logged_tasks, named_log, read_task
from dtk.views.detail import find_row, numbers, render_detail
from dtk.views.listing import format_table
from dtk.views.live import Look
from dtk.views.live import replay as play_again
from dtk.views.table import status_text
from dtk.views.task_json import row_document
from dtk.views.text import duration_text, table_time

DETAIL_USAGE = "dtk task-action-detail [SERVICE] N.M"


def list_tasks(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List a service's tasks, newest first.

    Example: dtk list-tasks dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    tasks = {number: read_task(workspace, name, number) for number in reversed(logged_tasks(workspace, name))}
    if as_json:
        print_json([_document(number, task) for number, task in tasks.items()])
        return
    headers = ["id", "task_type", "status", "steps", "duration", "started_at", "ended_at"]
    typer.echo(format_table(headers, [_row(number, task) for number, task in tasks.items()]), nl=False)


def _row(number: int, task: Task) -> list[str]:
    leaves = list(task.leaves())
    steps = f"{sum(leaf.status == 'succeeded' for leaf in leaves)} of {len(leaves)}"
    times = [duration_text(task.duration), table_time(task.started_at), table_time(task.ended_at)]
    return [str(number), task.title, status_text(task.status), steps, *times]


def _document(number: int, task: Task) -> dict[str, Any]:
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
    }


def task_action_detail(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] N.M", help="The step's number in task-status.")],
    task: Annotated[int | None, typer.Option("--task", metavar="N", help="The task's number; else the newest.")] = None,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every operation of a step: what, changed or not, output.

    With its exit code and seconds. A group's or a stage's number shows each of its steps.
    Example: dtk task-action-detail dask1 3.1.1
    """
    if len(words) > 2:
        raise UsageError(f"{len(words)} words where SERVICE and a number are expected", hint=DETAIL_USAGE)
    *service, number = words
    shown = named_log(service[0] if service else None, task, log).task()
    row = find_row(shown, number)
    if row is None:
        raise UsageError(
            f"Task action with identifier '{number}' does not exist for this service instance.",
            hint=f"there are {', '.join(numbers(shown)[:20]) or 'none'}; see: dtk task-status",
        )
    if as_json:
        print_json(row_document(row))
    else:
        typer.echo(render_detail(row, utc_now()), nl=False)


def replay(
    service: ServiceArgument = None,
    task: TaskArgument = None,
    speed: Annotated[float, typer.Option(metavar="N", help="How many times as fast as it was.", min=0.01)] = 10.0,
    log: LogOption = None,
) -> None:
    """Play a finished task through the live screen.

    q leaves it. Example: dtk replay dask1 1 --speed 10
    """
    chosen = named_log(service, task, log)
    if not chosen.task().is_over:
        raise UsageError("the task is not over", hint="watch it as it is: dtk task-status --wait")
    play_again(chosen.path, speed, Look(color=use_color(), expectation=chosen.expectation()))

"""``dtk task-status`` and ``dtk cancel-task``."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dtk.apply.cancel import cancel_task as request_cancel
from dtk.cli.context import chosen_service, current_workspace, print_json, use_color
from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.task_log import chosen_task, is_running
from dtk.errors import DtkError, UsageError
from dtk.events.fold import Fold, fold
from dtk.events.reading import follow, read_log
from dtk.events.tree import Task, exit_code_of
from dtk.state.lock import holder
from dtk.views.live import watch
from dtk.views.stream import stream
from dtk.views.table import render_snapshot
from dtk.views.task_json import task_document

SILENCE_OF_THE_DEAD = 60.0
"""Seconds without a line after which a log's writer counts as gone: it writes one at least every 10 s."""


class Mode(StrEnum):
    """How a task is shown."""

    SNAPSHOT = "snapshot"
    REFRESH = "refresh"
    STREAM = "stream"


def task_status(
    service: ServiceArgument = None,
    task: Annotated[int | None, typer.Argument(metavar="[TASK]", help="Its number; else the newest.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="A live screen to the task's end; q leaves it.")] = False,
    mode: Annotated[Mode, typer.Option("--mode", "-m", help="Table, live screen, or stage by stage.")] = Mode.SNAPSHOT,
    summarize: Annotated[bool, typer.Option("--summarize", "-s", help="Count a group's members in one row.")] = False,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Read this event log, without a workspace.", exists=True),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task: table, live screen or stream.

    A snapshot is a table of all steps. --wait (-m refresh) ends with the task, with its exit code; so does -m stream,
    which tells the finished stages first. Example: dtk task-status dask1 -m stream
    """
    file, alive = (log, _recently_written(log)) if log else _log_of(service, task)
    if as_json:
        print_json(task_document(_folded(file, alive())))
    elif wait or mode is Mode.REFRESH:
        raise typer.Exit(watch(file, is_alive=alive, color=use_color(), summarize=summarize))
    elif mode is Mode.STREAM:
        raise typer.Exit(_stream(file, alive))
    else:
        typer.echo(render_snapshot(_folded(file, alive()), summarize=summarize, color=use_color()), nl=False)


def _log_of(service: str | None, task: int | None) -> tuple[Path, Callable[[], bool]]:
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    number = chosen_task(workspace, name, task)
    return workspace.event_log(name, number), is_running(workspace, name, number)


def _recently_written(log: Path) -> Callable[[], bool]:
    """Of a lone log nobody knows the writer: it lives as long as it writes."""
    return lambda: time.time() - log.stat().st_mtime < SILENCE_OF_THE_DEAD


def _folded(file: Path, alive: bool) -> Task:
    reading = read_log(file)
    return fold(reading.events, writer_alive=alive, notes=reading.notes)


def _stream(file: Path, alive: Callable[[], bool]) -> int:
    folding = Fold()
    for text in stream(follow(file, is_alive=alive), fold=folding):
        typer.echo(text, nl=False)
    return exit_code_of(folding.task(writer_alive=False))


def cancel_task(
    service: ServiceArgument = None,
    task: Annotated[int | None, typer.Argument(metavar="[TASK]", help="Its number; else the running one.")] = None,
) -> None:
    """Cancel the running task of a service.

    Nothing new starts, remote processes are ended, the log is closed as cancelled. Example: dtk cancel-task dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    found = holder(workspace.service_folder(name))
    if found is None or not found.task:
        raise DtkError("No running tasks found", hint=f"dtk task-status {name}")
    if task is not None and found.task != task:
        raise UsageError(f"task {task} of '{name}' is not running; task {found.task} is")
    request_cancel(workspace, name, found.task)
    typer.echo(f"Task {found.task} of '{name}' is being cancelled; next: dtk task-status {name} --wait")

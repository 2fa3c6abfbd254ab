"""``dtk task-status``: shows a task as a table, a live screen or a stream."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import EtaOption, JsonOption, LogOption, OutputOption, ServiceArgument, TaskArgument
from dtk.cli.output import print_json, use_color, write_file
from dtk.errors import UsageError
from dtk.events.earlier_tasks import learned_expectation
from dtk.events.fold import Fold
from dtk.events.log_reader import follow
from dtk.events.tree import exit_code_of
from dtk.service.cancelling import cancel_anywhere
from dtk.service.task_log import TaskLog, named_log
from dtk.views.live_screen import Look, watch
from dtk.views.stream import stream
from dtk.views.stream_color import stream_in_color
from dtk.views.task_json import task_document


class Mode(StrEnum):
    """The view of a task."""

    SNAPSHOT = "snapshot"
    REFRESH = "refresh"
    STREAM = "stream"


def task_status(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: ServiceArgument = None,
    task: TaskArgument = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show a live screen until the task ends; q quits.")] = False,
    mode: Annotated[
        Mode, typer.Option("--mode", "-m", help="A table, a live screen, or a stream of stages.")
    ] = Mode.SNAPSHOT,
    summarize: Annotated[bool, typer.Option("--summarize", "-s", help="Show each group in one row.")] = False,
    eta: EtaOption = False,
    output: OutputOption = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Also write the steps as JUnit XML, for CI.")
    ] = None,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a task: table, live screen or stream.

    The default is a table of all steps. --wait (-m refresh) and -m stream follow the task and exit with its exit
    code; the stream starts with the finished stages. Leaving the screen (q, ^C, ^D) does not stop the task; c
    cancels it after a confirmation.
    Example: dtk task-status dask1 -m stream
    """
    chosen = named_log(service, task, log)
    refresh = wait or mode is Mode.REFRESH
    if output and mode is not Mode.STREAM:
        raise UsageError("--output is for -m stream only", hint="dtk task-status -m stream --output")
    code = 0
    if as_json:
        print_json(task_document(chosen.task(), learned_expectation(chosen.path) if eta else None))
    elif refresh:
        code = watch_task(chosen, summarize=summarize, eta=eta)
    elif mode is Mode.STREAM:
        code = _stream(chosen, output=output)
    else:
        look = Look(summarize, use_color(), learned_expectation(chosen.path) if eta else None, eta)
        typer.echo(look.snapshot(chosen.task(), sys.stdout), nl=False)
    if junit:
        from dtk.views.junit import junit_text  # noqa: PLC0415 - the XML library, only when used

        write_file(junit, junit_text(chosen.task()))
    raise typer.Exit(code)


def watch_task(chosen: TaskLog, *, summarize: bool = False, eta: bool = False) -> int:
    """Show a task on the live screen until it ends or the user leaves; return the exit code."""
    workspace = chosen.workspace

    def cancel() -> None:
        if workspace is not None:
            cancel_anywhere(workspace, chosen.service, chosen.number)

    look = Look(summarize=summarize, color=use_color(), expectation=learned_expectation(chosen.path), eta=eta)
    return watch(chosen.path, chosen.is_alive, look, cancel=cancel if workspace is not None else None)


def _stream(chosen: TaskLog, *, output: bool) -> int:
    folding = Fold()
    events = follow(chosen.path, is_alive=chosen.is_alive, note=folding.note)
    texts = stream(events, fold=folding, output=output)
    for text in stream_in_color(texts) if use_color() else texts:
        typer.echo(text, nl=False)
    return exit_code_of(folding.task(writer_alive=False))

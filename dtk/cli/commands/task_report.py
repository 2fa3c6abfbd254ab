"""``dtk task-report``: writes a task as a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.browser import open_file
from dtk.cli.options import LogOption, ServiceArgument, TaskArgument
from dtk.cli.output import write_file
from dtk.cli.task_files import report_text
from dtk.errors import UsageError
from dtk.service.task_log import named_log


def task_report(
    service: ServiceArgument = None,
    task: TaskArgument = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The file. Default: SERVICE-task-N.html.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    log: LogOption = None,
) -> None:
    """Write a task as a single HTML page.

    Errors, a timeline with the critical path, the topology, a comparison with the previous task, and every
    operation with its output. The page needs no network and no JavaScript. To watch a running task, use dtk watch.
    Example: dtk task-report dask1 --open
    """
    if open_browser and str(out) == "-":
        raise UsageError("--open cannot be used with -o -", hint="omit -o -")
    chosen = named_log(service, task, log)
    shown = chosen.task()
    file = out or Path(f"{shown.service or 'task'}-task-{shown.number}.html")
    write_file(file, report_text(shown, chosen.path, chosen.workspace))
    if str(file) != "-":
        typer.echo(f"Written to {file}")
    if open_browser:
        open_file(file)

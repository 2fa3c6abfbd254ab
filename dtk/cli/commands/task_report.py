"""``dtk task-report``: a task as a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import LogOption, ServiceArgument, TaskArgument
from dtk.cli.output import write_file
from dtk.cli.task_files import report_text
from dtk.service.task_log import named_log


def task_report(
    service: ServiceArgument = None,
    task: TaskArgument = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The page; else SERVICE-task-N.html here.")
    ] = None,
    log: LogOption = None,
) -> None:
    """Write a task as one page for a browser.

    Errors, a timeline with the critical path, the topology, a comparison with the task before, every operation with
    its output. The page needs no network and no JavaScript. Example: dtk task-report dask1 -o report.html
    """
    chosen = named_log(service, task, log)
    shown = chosen.task()
    file = out or Path(f"{shown.service or 'task'}-task-{shown.number}.html")
    write_file(file, report_text(shown, chosen.path, chosen.workspace))
    if str(file) != "-":
        typer.echo(f"Written to {file}")

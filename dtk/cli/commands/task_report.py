"""``dtk task-report``: a task as a page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import LogOption, ServiceArgument, TaskArgument
from dtk.cli.output import write_file
from dtk.cli.pictures import service_arrows
from dtk.errors import DtkError
from dtk.events.earlier_tasks import earlier_tasks
from dtk.events.log import utc_now
from dtk.service.task_log import TaskLog, named_log
from dtk.views.picture import Arrow
from dtk.views.report.page import report_page


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
    before = next(earlier_tasks(chosen.path, 1), None)
    file = out or Path(f"{shown.service or 'task'}-task-{shown.number}.html")
    write_file(file, report_page(shown, utc_now(), before=before, arrows=_arrows(chosen)))
    if str(file) != "-":
        typer.echo(f"Written to {file}")


def _arrows(chosen: TaskLog) -> tuple[Arrow, ...]:
    """Return who uses whom, as the service's files say now; a service that is gone or invalid has a report, too."""
    if chosen.workspace is None:
        return ()
    try:
        return service_arrows(chosen.workspace, chosen.service)
    except DtkError:
        return ()

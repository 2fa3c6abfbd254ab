"""``dtk cancel-task``: cancels the running task of a service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.service.cancelling import cancel_anywhere
from dtk.service.context import chosen_service, current_workspace


def cancel_task(
    service: ServiceArgument = None,
    task: Annotated[int | None, typer.Argument(metavar="[TASK]", help="Its number; else the running one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel the running task of a service.

    Nothing new starts, remote processes are ended, the log is closed as cancelled. Example: dtk cancel-task dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    number = cancel_anywhere(workspace, name, task)
    if as_json:
        print_json({"status": "OK", "service": name, "task": number})
        return
    typer.echo(f"Task {number} of '{name}' is being cancelled; next: dtk task-status {name} --wait")

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
    task: Annotated[
        int | None, typer.Argument(metavar="[TASK]", help="The task's number. Default: the running task.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel the running task of a service.

    Starts nothing new, stops remote processes and closes the log as cancelled. Example: dtk cancel-task dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    number = cancel_anywhere(workspace, name, task)
    if as_json:
        print_json({"status": "OK", "service": name, "task": number})
        return
    typer.echo(f"Task {number} of '{name}' is being cancelled; next: dtk task-status {name} --wait")

"""``dtk task-action-detail``: shows every operation of a step."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption, LogOption
from dtk.cli.output import print_json, use_color
from dtk.errors import UsageError
from dtk.events.event import utc_now
from dtk.service.task_log import named_log
from dtk.views.step_detail import find_row, numbers, render_detail
from dtk.views.stream_color import lines_in_color
from dtk.views.task_json import row_document

DETAIL_USAGE = "dtk task-action-detail [SERVICE] N.M"


def task_action_detail(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] N.M", help="The step's number, as in task-status.")],
    task: Annotated[
        int | None, typer.Option("--task", metavar="N", help="The task's number. Default: the newest.")
    ] = None,
    log: LogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every operation of a step with its result and output.

    Includes exit codes and durations. For the number of a group or a stage, shows all of its steps.
    Example: dtk task-action-detail dask1 3.1.1
    """
    if len(words) > 2:
        raise UsageError(f"expected SERVICE and a step's number, found {len(words)} words", hint=DETAIL_USAGE)
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
        detail = render_detail(row, utc_now())
        typer.echo(lines_in_color(detail) if use_color() else detail, nl=False)

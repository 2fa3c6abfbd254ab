"""``dtk replay``: plays a finished task through the live screen."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import LogOption, ServiceArgument, TaskArgument
from dtk.cli.output import use_color
from dtk.errors import UsageError
from dtk.events.earlier_tasks import learned_expectation
from dtk.service.task_log import named_log
from dtk.views.live_screen import Look
from dtk.views.live_screen import replay as play_again


def replay(
    service: ServiceArgument = None,
    task: TaskArgument = None,
    speed: Annotated[
        float, typer.Option(metavar="N", help="How many times faster than the task ran.", min=0.01)
    ] = 10.0,
    log: LogOption = None,
) -> None:
    """Replay a finished task on the live screen.

    q quits. Example: dtk replay dask1 1 --speed 10
    """
    chosen = named_log(service, task, log)
    if not chosen.task().is_over:
        raise UsageError("the task has not finished", hint="to watch a running task: dtk task-status --wait")
    play_again(chosen.path, speed, Look(color=use_color(), expectation=learned_expectation(chosen.path)))

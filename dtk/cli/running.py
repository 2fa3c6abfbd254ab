"""Starting a task and following it: shared by apply, converge, deploy and delete-and-destroy."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import typer

from dtk.apply.cancel import cancel_task
from dtk.apply.launch import start_task
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.events.fold import Fold
from dtk.events.reading import follow
from dtk.events.tree import Task, exit_code_of
from dtk.model.plan import Plan
from dtk.service.open_end import finishes_last_task
from dtk.service.planning import Inputs, check_modules
from dtk.service.task_log import is_running
from dtk.state.lock import acquire
from dtk.state.workspace import Workspace
from dtk.views.plan_text import plan_text
from dtk.views.stream import stream
from dtk.views.task_json import task_document


def confirm(question: str) -> None:
    """Ask a yes-or-no question; anything but yes ends the command.

    Raises:
        UsageError: nobody is there to ask.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to answer.", hint="say --yes")
    answer = typer.prompt(f"{question} (yes|no)", default="no", show_default=False)
    if answer.strip().lower() not in ("yes", "y"):
        typer.echo("Nothing was done.")
        raise typer.Exit(0)


def show_and_ask(plan: Plan, *, ask: bool) -> None:
    """Print a plan that is not empty and, unless ``--yes`` was given, ask whether to apply it."""
    if plan.is_empty:
        return
    typer.echo(plan_text(plan))
    if ask:
        confirm("Apply this plan?")


def run_plan(
    inputs: Inputs,
    plan: Plan,
    *,
    detach: bool,
    lock_wait: float,
    command: str,
    as_json: bool = False,
    resumes: bool = False,
) -> None:
    """Start a plan's task and follow it to its end, or leave it running.

    With ``as_json`` one document is printed: the task's number when it is left running, else the task as it ended.
    ``resumes`` says that the plan was asked for as the rest of the last task.

    Raises:
        typer.Exit: with the task's exit code.
    """
    is_done = plan.is_empty and not plan.destroys
    if is_done and not finishes_last_task(inputs.workspace, plan, resumes=resumes):
        typer.echo(plan_text(plan), nl=False)
        return
    check_modules(plan, inputs.modules)
    # What refuses the plan gives the lock back: in the shell this process goes on.
    with acquire(inputs.workspace.service_folder(plan.service), command, lock_wait) as lock:
        started = start_task(inputs.workspace, plan, lock=lock, modules=inputs.folders())
    if detach and as_json:
        print_json({"service": plan.service, "task": started.number})
        return
    if detach:
        typer.echo(f"task_id: {started.number}")
        typer.echo(f"next: dtk task-status {plan.service} --wait")
        return
    raise typer.Exit(follow_task(inputs.workspace, plan.service, started.number, as_json=as_json))


def follow_task(workspace: Workspace, service: str, number: int, *, as_json: bool = False) -> int:
    """Print a task's stream until it ends, or only the task as it ended; ^C cancels it. Returns its exit code."""
    fold = Fold()
    alive = is_running(workspace, service, number)
    events = follow(workspace.event_log(service, number), is_alive=alive, note=fold.note)
    is_shown = not as_json
    with _interrupts_cancel(workspace, service, number):
        for text in stream(events, fold=fold):
            is_shown = is_shown and _shown(text, service)
    task = fold.task(writer_alive=False)
    if as_json:
        print_json(task_document(task))
    elif _found_all_in_place(task):
        typer.echo("Nothing had to be changed.")
    return exit_code_of(task)


def _shown(text: str, service: str) -> bool:
    """Print a piece of the stream; return False once nobody reads it (``| head -1``): the task goes on all the same."""
    try:
        typer.echo(text, nl=False)
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        typer.echo(f"the output is closed, the task goes on; see: dtk task-status {service} --wait", err=True)
        return False
    return True


def _found_all_in_place(task: Task) -> bool:
    """Say whether a converge changed nothing; what plain actions did, smoke tests for example, is no change."""
    leaves = [leaf for stage in task.stages for leaf in stage.leaves() if leaf.type != "action"]
    converges = task.type == "assembly_converge" and task.status == "succeeded"
    return converges and bool(leaves) and not any(leaf.changed for leaf in leaves)


@contextmanager
def _interrupts_cancel(workspace: Workspace, service: str, number: int) -> Iterator[None]:
    """While a task is followed, the first ^C cancels it and the second stops it at once; the screen goes on."""

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        typer.echo("\ncancelling the task; ^C again stops it at once", err=True)
        # It may have ended just now: the next one is somebody else's.
        with suppress(UsageError):
            cancel_task(workspace, service, number)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

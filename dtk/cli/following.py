"""Follows a task to its end: prints its stream and progress, and then writes the requested files."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import typer

from dtk.cli.forge import annotate, forge, places_of, summarize, write_for_forge
from dtk.cli.output import print_json, use_color
from dtk.cli.status_line import StatusLine
from dtk.cli.task_files import TaskFiles
from dtk.errors import DtkError, InvalidError, UsageError
from dtk.events.event import Event, encode, utc_now
from dtk.events.fold import Fold
from dtk.events.log_reader import follow
from dtk.events.tree import Task, exit_code_of
from dtk.plan.resolve.outputs import output_rows
from dtk.plan.resolve.service import resolve_service
from dtk.service.planning import Inputs, read_inputs
from dtk.service.task_log import is_running
from dtk.views.ci.annotation import task_annotations
from dtk.views.ci.forge import Forge, ForgeText
from dtk.views.ci.stage_frame import stage_frame
from dtk.views.ci.task_markdown import task_markdown
from dtk.views.output_text import outputs_text
from dtk.views.progress import RunningSteps
from dtk.views.recap import changed_leaves, recap
from dtk.views.stream import stream
from dtk.views.stream_color import stream_in_color
from dtk.views.task_json import task_document


@dataclass(frozen=True)
class Following:
    """What a command prints and writes about its task.

    ``document`` prints one document at the end; ``events`` prints each event as it arrives; ``output`` prints the
    output of steps. ``verbosity`` counts -v: 1 is the same as ``output``, 2 also prints the commands of steps.
    """

    detach: bool = False
    document: bool = False
    events: bool = False
    output: bool = False
    verbosity: int = 0
    files: TaskFiles = field(default_factory=TaskFiles)

    def check(self) -> None:
        """Refuse conflicting options and files that can't be written, before anything is done.

        Raises:
            UsageError: names the conflict or the file.
        """
        if self.detach and (self.output or self.verbosity or self.files.junit or self.files.report):
            hint = "omit --detach, or run later: dtk task-status --junit FILE, dtk task-report"
            raise UsageError("--detach cannot be used with --output, -v, --junit or --report", hint=hint)
        self.files.check()

    @property
    def prints_output(self) -> bool:
        """Whether the output of running steps is printed as it arrives."""
        return self.output or self.verbosity > 0

    @property
    def is_data(self) -> bool:
        """Whether standard output is for programs."""
        return self.document or self.events


def follow_task(inputs: Inputs, number: int, how: Following) -> int:
    """Print a task's stream, or its data, until it ends; return its exit code."""
    workspace, service, fold = inputs.workspace, inputs.service.name, Fold()
    alive = is_running(workspace, service, number)
    events = follow(workspace.event_log(service, number), is_alive=alive, note=fold.note)
    try:
        texts = _event_lines(events, fold) if how.events else _stream(events, fold, how)
        _print(stream_in_color(texts) if use_color() and not how.events else texts, service, is_shown=not how.document)
    finally:
        task = fold.task(writer_alive=False)
        is_written = _written(how.files, task, inputs)
    if how.document:
        print_json(task_document(task))
    elif not how.events:
        if _found_all_in_place(task):
            typer.echo("Nothing had to be changed.")
        # On standard error: the lines of the stream are those of the original.
        typer.echo(recap(task), err=True)
        _print_outputs(task, inputs)
    annotate(lambda: task_annotations(task, places_of(inputs)), "failures")
    summarize(lambda: task_markdown(task))
    return exit_code_of(task) or (0 if is_written else 1)


def _print_outputs(task: Task, inputs: Inputs) -> None:
    """Print the outputs of a service that was converged, if it has any."""
    if task.type != "assembly_converge" or task.status != "succeeded":
        return
    assembly = inputs.modules[inputs.service.module].assemblies.get(inputs.service.assembly)
    if not assembly or not assembly.outputs:
        return
    try:
        now = read_inputs(inputs.workspace, inputs.service.name)
    except InvalidError as error:
        # The files were edited while the task ran; the task has ended anyway.
        typer.echo(f"warning: the outputs are not shown: {error.message} (dtk validate)", err=True)
        return
    typer.echo(outputs_text(output_rows(resolve_service(now.request()))), nl=False)


def _written(files: TaskFiles, task: Task, inputs: Inputs) -> bool:
    """Write a task's files; return whether that succeeded. A failure does not hide the result of the task."""
    try:
        files.write(task, inputs.workspace)
    except DtkError as error:
        typer.echo(f"error: {error.message}", err=True)
        return False
    return True


def _event_lines(events: Iterable[Event | None], fold: Fold) -> Iterator[str]:
    for event in events:
        if event is not None:
            fold.feed(event)
            yield encode(event).decode()


def _stream(events: Iterable[Event | None], fold: Fold, how: Following) -> Iterator[str]:
    progress = RunningSteps(utc_now)
    frame = stage_frame(forge(), utc_now)
    if how.document:
        return stream(events, fold=fold)
    told = partial(stream, events, fold=fold, output=how.prints_output, commands=how.verbosity > 1)
    if not sys.stdout.isatty() or forge() is not Forge.PLAIN:
        return told(frame=frame, progress=progress.lines)
    screen = StatusLine(sys.stdout)

    def on_event(event: Event | None) -> Iterator[str]:
        list(progress.lines(event))
        if event is None:
            screen.show(progress.status_line(), time.monotonic())
        return iter(())

    return screen.cleared(told(progress=on_event))


def _print(texts: Iterable[str], service: str, *, is_shown: bool) -> None:
    for text in texts:
        is_shown = is_shown and _shown(text, service)


def _shown(text: str, service: str) -> bool:
    """Print a piece of the stream.

    Returns:
        False if it can't be printed, because the reader has gone (``| head -1``) or a disk is full; the task continues.
    """
    try:
        if isinstance(text, ForgeText):
            write_for_forge(text)
        else:
            typer.echo(text, nl=False)
    except OSError as error:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        is_closed = isinstance(error, BrokenPipeError)
        why = "the output was closed" if is_closed else f"the output can't be written: {error.strerror}"
        typer.echo(f"{why}; the task continues; see: dtk task-status {service} --wait", err=True)
        return False
    return True


def _found_all_in_place(task: Task) -> bool:
    """Return whether a converge examined components and changed nothing."""
    converges = task.type == "assembly_converge" and task.status == "succeeded"
    examines = any(leaf.type != "action" for leaf in task.leaves())
    return converges and examines and not any(changed_leaves(task))

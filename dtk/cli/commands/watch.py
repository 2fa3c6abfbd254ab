"""``dtk watch``: serves a running task as a web page that follows it."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Annotated

import typer

from dtk.cli.browser import opened
from dtk.cli.live_server import LiveServer, TaskFeed, serving
from dtk.cli.options import LogOption, ServiceArgument, TaskArgument
from dtk.cli.task_files import surroundings
from dtk.errors import UsageError
from dtk.events.fold import Fold
from dtk.events.log_reader import follow
from dtk.events.tree import Task, exit_code_of
from dtk.service.task_log import TaskLog, named_log

BEHIND_SECONDS = 1.0
"""Seconds between updates of the page while a long log is still being read."""
OPENING_SECONDS = 15.0
"""If the task ends first, how long to wait for the opened browser to request the page, in seconds."""


def watch(
    service: ServiceArgument = None,
    task: TaskArgument = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    log: LogOption = None,
) -> None:
    """Serve a running task as a web page that follows it.

    The page is that of dtk task-report, updated while the task runs: errors first, then stages, nodes by status,
    and what each step did and printed. It is served on this machine only, with a token in its address. The command
    ends with the task and its exit code. ^C stops it earlier; the task continues.
    Example: dtk watch dask1 --open
    """
    chosen = named_log(service, task, log)
    shown = chosen.task()
    if shown.is_over:
        words = f"--log {log}" if log else f"{chosen.service} {chosen.number}"
        raise UsageError(f"{_named(shown)} has finished", hint=f"dtk task-report {words} --open")
    raise typer.Exit(_watch(chosen, shown, open_browser=open_browser))


def _named(task: Task) -> str:
    return f"task {task.number} of '{task.service}'" if task.service else "the task"


def _watch(chosen: TaskLog, shown: Task, *, open_browser: bool) -> int:
    feed = TaskFeed()
    feed.publish(shown)
    server = LiveServer(feed, surroundings(shown, chosen.path, chosen.workspace))
    try:
        with serving(server):
            typer.echo(f"{_named(shown)} is at {server.address}")
            typer.echo("The page is served until the task ends. ^C stops it; the task continues.")
            with opened(server.address) if open_browser else nullcontext():
                ended = _follow(chosen, feed)
                if open_browser:
                    server.was_opened.wait(OPENING_SECONDS)
                server.wait_for_streams()
    except KeyboardInterrupt:
        return 0
    typer.echo(f"{_named(ended)}: {ended.status}")
    return exit_code_of(ended)


def _follow(chosen: TaskLog, feed: TaskFeed) -> Task:
    """Publish the task as its log grows, until it ends; return the finished task."""
    fold = Fold()
    is_new, told = False, time.monotonic()
    for event in follow(chosen.path, is_alive=chosen.is_alive, note=fold.note):
        if event is not None:
            fold.feed(event)
            is_new = True
        if is_new and (event is None or time.monotonic() - told >= BEHIND_SECONDS):
            feed.publish(fold.task())
            is_new, told = False, time.monotonic()
    ended = fold.task(writer_alive=False)
    feed.publish(ended)
    return ended

"""``--wait``: follows a task on a live screen until it is over or the watcher leaves; the task never notices."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dtk.events.fold import Fold
from dtk.events.log import utc_now
from dtk.events.reading import follow
from dtk.events.tree import Task, exit_code_of
from dtk.views.keys import END_OF_INPUT, Keys
from dtk.views.screen import frame
from dtk.views.table import render_snapshot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

FRAME_SECONDS = 0.25
"""At most four frames a second (design.md, Views)."""

BEHIND_SECONDS = 1.0
"""The longest time without a frame or a look at the keys while a long log is read."""

PRINT_SECONDS = 5.0
"""How often a snapshot is printed where there is no terminal; the original refreshed as often."""

_LEAVE = frozenset({"q", "Q", END_OF_INPUT})


class _LeftError(Exception):
    """The watcher pressed a key to leave."""


def watch(
    path: Path,
    is_alive: Callable[[], bool],
    stdout: TextIO | None = None,
    stdin: TextIO | None = None,
    *,
    summarize: bool = False,
    color: bool = False,
) -> int:
    """Follow a task until it is over, then print its snapshot.

    On a terminal a live screen is drawn; q, ^C and ^D leave it at once and in silence. Without one the snapshot is
    printed whenever it has changed. Leaving is not an end of the task: it goes on.

    Args:
        path: the task's log.
        is_alive: whether the log's writer lives.
        stdout: where to draw; standard output unless given.
        stdin: the keyboard; standard input unless given.
        summarize: snapshots with one row a group.
        color: whether to use colours.

    Returns:
        The task's exit code (0 succeeded, 1 failed, 6 cancelled); 0 when the watcher left before its end.
    """
    output = sys.stdout if stdout is None else stdout
    follower = _LiveScreen(output, color=color) if _is_screen(output) else _Prints(output, summarize=summarize)
    try:
        with Keys(stdin) as keys, follower:
            task = _follow(path, is_alive, keys, follower)
    except (KeyboardInterrupt, _LeftError):
        return 0
    output.write(render_snapshot(task, summarize=summarize, color=color))
    output.flush()
    return exit_code_of(task)


def _follow(path: Path, is_alive: Callable[[], bool], keys: Keys, follower: _LiveScreen | _Prints) -> Task:
    """Show the task again and again until its end; return it."""
    fold = Fold()
    shown = time.monotonic() - FRAME_SECONDS
    for event in follow(path, is_alive=is_alive, wait=lambda seconds: _leave_on(keys.pressed(seconds)), note=fold.note):
        if event is not None:
            fold.feed(event)
        # A log that is behind is shown once it is read, not event by event; a very long one now and then.
        if time.monotonic() - shown >= (FRAME_SECONDS if event is None else BEHIND_SECONDS):
            _leave_on(keys.pressed())
            follower.show(fold.task())
            shown = time.monotonic()
    return fold.task(writer_alive=False)


def _leave_on(pressed: str) -> None:
    if _LEAVE & set(pressed):
        raise _LeftError


class _LiveScreen:
    """The terminal's other screen, drawn by rich; what was on the terminal before is there again afterwards."""

    def __init__(self, output: TextIO, *, color: bool) -> None:
        # rich is imported for this screen only: no other command shall pay for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._console: Console = Console(file=output, no_color=not color)
        self._live: Live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False)

    def __enter__(self) -> _LiveScreen:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, task: Task) -> None:
        """Draw the task as it is now, as large as the terminal is now."""
        from rich.text import Text  # noqa: PLC0415  # as above

        columns, lines = self._console.size
        drawn = [Text(line.text, line.style, no_wrap=True) for line in frame(task, utc_now(), columns, lines)]
        self._live.update(Text("\n").join(drawn), refresh=True)


class _Prints:
    """Snapshots one after the other, for pipes, files and CI: printed when they differ from the last one."""

    def __init__(self, output: TextIO, *, summarize: bool) -> None:
        self._output = output
        self._summarize = summarize
        self._last = ""
        self._looked = float("-inf")

    def __enter__(self) -> _Prints:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def show(self, task: Task) -> None:
        """Print the task's snapshot if it is time and something has changed."""
        if time.monotonic() - self._looked < PRINT_SECONDS or not task.stages:
            return
        self._looked = time.monotonic()
        snapshot = render_snapshot(task, summarize=self._summarize)
        if snapshot != self._last and not task.is_over:
            self._output.write(snapshot + "\n")
            self._output.flush()
        self._last = snapshot


def _is_screen(output: TextIO) -> bool:
    """Say whether output is a terminal that a screen can be drawn on."""
    return output.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}

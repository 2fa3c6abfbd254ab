"""``--wait``: follows a task on a live screen until it ends or the user leaves, without affecting the task."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dtk.events.event import Event, utc_now
from dtk.events.expected_times import Expectation
from dtk.events.fold import Fold
from dtk.events.log_reader import follow, read_log
from dtk.events.tree import Task, exit_code_of
from dtk.views.formatting import terminal_columns
from dtk.views.harmless_stream import drawing_stream
from dtk.views.keyboard import Keys
from dtk.views.live_control import Control, LeftError
from dtk.views.live_frame import frame
from dtk.views.replay_pace import Pace
from dtk.views.snapshot_table import render_snapshot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

FRAME_SECONDS = 0.25
"""Seconds between frames with news: the first event after a pause is drawn at once, then four frames a second."""

TICK_SECONDS = 0.5
"""Seconds between frames without news: running durations keep counting."""

BEHIND_SECONDS = 1.0
"""Maximum number of seconds without a frame or a check of the keys while a long log is read."""

PRINT_SECONDS = 5.0
"""Seconds between snapshots without a terminal, as in the original."""


@dataclass(frozen=True)
class Look:
    """How to show a task.

    ``expectation`` is what earlier tasks took; the screen shows the expected end from it, and snapshots get a column
    EXPECTED if ``eta`` is set.
    """

    summarize: bool = False
    color: bool = False
    expectation: Expectation | None = None
    eta: bool = False

    def snapshot(self, task: Task, output: TextIO) -> str:
        """Return the task's table, formatted for an output."""
        return render_snapshot(
            task,
            summarize=self.summarize,
            color=self.color,
            expectation=self.expectation if self.eta else None,
            columns=terminal_columns(output),
        )


def watch(
    path: Path,
    is_alive: Callable[[], bool],
    look: Look | None = None,
    stdout: TextIO | None = None,
    stdin: TextIO | None = None,
    *,
    cancel: Callable[[], object] | None = None,
) -> int:
    """Follow a task until it is over, then print its snapshot.

    On a terminal, a live screen is drawn; q, ^C and ^D leave it at once without a message. Otherwise, the snapshot is
    printed whenever it has changed. Leaving does not stop the task.

    Args:
        path: the task's log.
        is_alive: whether the log's writer is alive.
        look: how to show the task.
        stdout: where to draw; by default standard output.
        stdin: the keyboard; by default standard input.
        cancel: called to cancel the task on the key c; without it the key does nothing.

    Returns:
        The task's exit code (0 succeeded, 1 failed, 6 cancelled); 0 if the user left before the end.
    """
    control = Control(cancel)
    fold = Fold()

    def events(wait: Callable[[float], object]) -> Iterable[Event | None]:
        return follow(path, is_alive=is_alive, wait=wait, note=fold.note)

    task = _show(events, fold, control, utc_now, look or Look(), stdout, stdin)
    return exit_code_of(task) if task else 0


def replay(
    path: Path, speed: float, look: Look | None = None, stdout: TextIO | None = None, stdin: TextIO | None = None
) -> None:
    """Replay a finished task on the live screen, ``speed`` times as fast as it ran, then print its snapshot."""
    reading = read_log(path)
    fold = Fold()
    for note in reading.notes:
        fold.note(note)
    pace = Pace(reading.events, speed)
    _show(pace.play, fold, Control(), pace.now, look or Look(), stdout, stdin)


def _show(
    events: Callable[[Callable[[float], object]], Iterable[Event | None]],
    fold: Fold,
    control: Control,
    clock: Callable[[], datetime],
    look: Look,
    stdout: TextIO | None,
    stdin: TextIO | None,
) -> Task | None:
    """Show a task until its events end, then its snapshot; return the task, or None if the user left before."""
    output = sys.stdout if stdout is None else stdout
    follower = _LiveScreen(output, look, clock, control) if _is_screen(output) else _Prints(output, look)
    try:
        with Keys(stdin) as keys, follower:
            task = _follow(events(lambda seconds: control.press(keys.pressed(seconds))), fold, keys, control, follower)
    except (KeyboardInterrupt, LeftError):
        return None
    output.write(look.snapshot(task, output))
    output.flush()
    return task


def _follow(
    events: Iterable[Event | None], fold: Fold, keys: Keys, control: Control, follower: _LiveScreen | _Prints
) -> Task:
    """Redraw the task until its end; return it."""
    drawn, changed = time.monotonic(), float("-inf")
    is_new = True
    for event in events:
        if event is not None:
            fold.feed(event)
            is_new = True
        now = time.monotonic()
        # A log that is behind is read completely before it is drawn; a very long one is drawn now and then.
        redraws = (is_new and now - changed >= FRAME_SECONDS) or now - drawn >= TICK_SECONDS
        if redraws and (event is None or now - drawn >= BEHIND_SECONDS):
            control.press(keys.pressed())
            follower.show(fold.task())
            drawn = time.monotonic()
            changed = drawn if is_new else changed
            is_new = False
    return fold.task(writer_alive=False)


class _LiveScreen:
    """The terminal's alternate screen, drawn by rich; the previous content is restored afterwards."""

    def __init__(self, output: TextIO, look: Look, clock: Callable[[], datetime], control: Control) -> None:
        # rich is imported only here, so that no other command pays for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._look = look
        self._clock = clock
        self._control = control
        # COLUMNS and LINES, which some shells and readline export, would freeze the size of the screen.
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._console: Console = Console(file=drawing_stream(output), no_color=not look.color, _environ=environment)
        self._live: Live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False)

    def __enter__(self) -> _LiveScreen:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, task: Task) -> None:
        """Draw the current state of the task, at the current size of the terminal."""
        from rich.text import Text  # noqa: PLC0415  # as above

        columns, lines = self._console.size
        picture = frame(task, self._clock(), columns, lines, self._look.expectation, self._control.footer)
        drawn = [Text(line.text, line.style, no_wrap=True) for line in picture]
        self._live.update(Text("\n").join(drawn), refresh=True)


class _Prints:
    """Prints successive snapshots for pipes, files and CI, if they differ from the last one."""

    def __init__(self, output: TextIO, look: Look) -> None:
        self._output = output
        self._look = look
        self._last = ""
        self._looked = float("-inf")

    def __enter__(self) -> _Prints:
        return self

    def __exit__(self, *exception: object) -> None:
        return

    def show(self, task: Task) -> None:
        """Print the task's snapshot if it is due and has changed."""
        if time.monotonic() - self._looked < PRINT_SECONDS or not task.stages:
            return
        self._looked = time.monotonic()
        snapshot = self._look.snapshot(task, self._output)
        if snapshot != self._last and not task.is_over:
            self._output.write(snapshot + "\n")
            self._output.flush()
        self._last = snapshot


def _is_screen(output: TextIO) -> bool:
    """Return whether output is a terminal that a screen can be drawn on."""
    return output.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}

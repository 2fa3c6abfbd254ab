"""``--wait``: follows a task on a live screen until it is over or the watcher leaves; the task never notices."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dtk.events.event import Event
from dtk.events.expected_times import Expectation
from dtk.events.fold import Fold
from dtk.events.log import utc_now
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
"""Between two frames that show something new: the first event after a pause is drawn at once, then four a second."""

TICK_SECONDS = 0.5
"""Between two frames when nothing is new: running durations go on counting."""

BEHIND_SECONDS = 1.0
"""The longest time without a frame or a look at the keys while a long log is read."""

PRINT_SECONDS = 5.0
"""How often a snapshot is printed where there is no terminal; the original refreshed as often."""


@dataclass(frozen=True)
class Look:
    """How a watcher wants a task shown.

    ``expectation`` is what earlier tasks took; the screen tells the expected end from it, and snapshots have their
    column EXPECTED when ``eta`` is set.
    """

    summarize: bool = False
    color: bool = False
    expectation: Expectation | None = None
    eta: bool = False

    def snapshot(self, task: Task, output: TextIO) -> str:
        """Return the task's table as output can show it."""
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

    On a terminal a live screen is drawn; q, ^C and ^D leave it at once and in silence. Without one the snapshot is
    printed whenever it has changed. Leaving is not an end of the task: it goes on.

    Args:
        path: the task's log.
        is_alive: whether the log's writer lives.
        look: how it is shown.
        stdout: where to draw; standard output unless given.
        stdin: the keyboard; standard input unless given.
        cancel: asks the task to end, for the key c; without it the key does nothing.

    Returns:
        The task's exit code (0 succeeded, 1 failed, 6 cancelled); 0 when the watcher left before its end.
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
    """Play a finished task through the live screen, ``speed`` times as fast as it was, then print its snapshot."""
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
    """Show a task until its events end, then its snapshot; return it, None when the watcher left before."""
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
    """Show the task again and again until its end; return it."""
    drawn, changed = time.monotonic(), float("-inf")
    is_new = True
    for event in events:
        if event is not None:
            fold.feed(event)
            is_new = True
        now = time.monotonic()
        # A log that is behind is drawn once it is read, not event by event; a very long one now and then.
        redraws = (is_new and now - changed >= FRAME_SECONDS) or now - drawn >= TICK_SECONDS
        if redraws and (event is None or now - drawn >= BEHIND_SECONDS):
            control.press(keys.pressed())
            follower.show(fold.task())
            drawn = time.monotonic()
            changed = drawn if is_new else changed
            is_new = False
    return fold.task(writer_alive=False)


class _LiveScreen:
    """The terminal's other screen, drawn by rich; what was on the terminal before is there again afterwards."""

    def __init__(self, output: TextIO, look: Look, clock: Callable[[], datetime], control: Control) -> None:
        # rich is imported for this screen only: no other command shall pay for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._look = look
        self._clock = clock
        self._control = control
        # COLUMNS and LINES, which some shells and readline export, would hold the screen at the size it began with.
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._console: Console = Console(file=drawing_stream(output), no_color=not look.color, _environ=environment)
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
        picture = frame(task, self._clock(), columns, lines, self._look.expectation, self._control.footer)
        drawn = [Text(line.text, line.style, no_wrap=True) for line in picture]
        self._live.update(Text("\n").join(drawn), refresh=True)


class _Prints:
    """Snapshots one after the other, for pipes, files and CI: printed when they differ from the last one."""

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
        """Print the task's snapshot if it is time and something has changed."""
        if time.monotonic() - self._looked < PRINT_SECONDS or not task.stages:
            return
        self._looked = time.monotonic()
        snapshot = self._look.snapshot(task, self._output)
        if snapshot != self._last and not task.is_over:
            self._output.write(snapshot + "\n")
            self._output.flush()
        self._last = snapshot


def _is_screen(output: TextIO) -> bool:
    """Say whether output is a terminal that a screen can be drawn on."""
    return output.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb", "unknown"}

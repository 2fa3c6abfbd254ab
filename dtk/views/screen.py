"""One frame of the live screen: what runs and what failed first, the rest folded, never taller than the terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from dtk.events.tree import Progress, Row, Stage, Step, Task
from dtk.views.table import label, status_text
from dtk.views.text import cropped, duration_text, one_line, padded, width

STYLES = {"executing": "bold", "failed": "red", "cancelled": "yellow", "succeeded": "green"}
"""Colours by meaning; the status stands in every line as a word, too."""

HELP = "q leaves"
_HEADERS = ("TASK TYPE", "STATUS", "NODE", "DURATION")
_FRAME_LINES = 4
"""Lines that are no rows: the title, the headers, the count of what is left out, the last output."""


@dataclass(frozen=True)
class Line:
    """A line of the frame and rich's name for its style."""

    text: str
    style: str = ""


def frame(task: Task, now: datetime, columns: int, lines: int) -> list[Line]:
    """Return the screen's lines for a task at a moment, at most ``lines`` of them, each within ``columns``.

    First what failed, then what runs, with the stages they belong to; then the other stages, one line each, those
    to come before those that are over; what does not fit is counted.
    """
    room = max(1, lines - _FRAME_LINES)
    active = [(level, row) for level, row in task.rows() if _is_active(row)]
    active.sort(key=lambda item: item[1].status == "executing")
    folded: list[tuple[int, Row]] = [(1, stage) for stage in task.stages if not _is_active(stage)]
    folded.sort(key=lambda item: item[1].is_over)
    shown, hidden = (active + folded)[:room], (active + folded)[room:]
    body = [*_table(shown, now), *_hidden(hidden), *_last_output(task, now)]
    whole = [_title(task, now), *body]
    return [Line(cropped(line.text, columns), line.style) for line in whole[: max(1, lines)]]


def _is_active(row: Row) -> bool:
    if isinstance(row, Step) and row.steps:
        return any(_is_active(member) for member in row.steps)
    if isinstance(row, Stage):
        return row.status in {"executing", "failed", "cancelled"} or any(_is_active(step) for step in row.steps)
    return row.status in {"executing", "failed", "cancelled"}


def _title(task: Task, now: datetime) -> Line:
    name = f"{task.service}: {one_line(task.title)}" if task.service else one_line(task.title)
    status = "cancelling" if task.cancelled_by and not task.is_over else status_text(task.status) or "waiting"
    done = sum(stage.is_over for stage in task.stages)
    stages = f"{done} of {len(task.stages)} stages"
    return Line("  ".join([name, status, _elapsed(task, now) or "0.0s", stages, f"({HELP})"]), STYLES["executing"])


def _table(rows: list[tuple[int, Row]], now: datetime) -> list[Line]:
    cells = [
        (label(level - 1, row), status_text(row.status), one_line(getattr(row, "node", "")), _elapsed(row, now))
        for level, row in rows
    ]
    widths = [max(map(width, column)) for column in zip(_HEADERS, *cells, strict=True)]
    styles = ["dim", *(STYLES.get(row.status, "") for _, row in rows)]
    return [
        Line("  ".join(padded(cell, columns) for cell, columns in zip(row, widths, strict=True)).rstrip(), style)
        for row, style in zip([_HEADERS, *cells], styles, strict=True)
    ]


def _elapsed(part: Progress, now: datetime) -> str:
    """Return how long it took, or has taken until now."""
    if part.started_at is None or part.duration is not None:
        return duration_text(part.duration)
    return duration_text(max(0.0, (now - part.started_at).total_seconds()))


def _hidden(rows: list[tuple[int, Row]]) -> list[Line]:
    if not rows:
        return []
    counts = Counter(status_text(row.status) or "to come" for _, row in rows)
    return [
        Line(f"… and {len(rows)} more: {', '.join(f'{count} {status}' for status, count in counts.items())}", "dim")
    ]


def _last_output(task: Task, now: datetime) -> list[Line]:
    """Return the last line of output of the step that has run longest."""
    running = [leaf for leaf in task.leaves() if leaf.status == "executing"]
    longest = min(running, key=lambda leaf: leaf.started_at or now, default=None)
    if longest is None:
        return []
    return [Line(f"{longest.number} {longest.node}: {one_line(longest.last_output)}".rstrip(" :"), "dim")]

"""One frame of the live screen: running and failed steps first, the rest folded, never taller than the terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from dtk.events.expected_times import Expectation, ExpectedEnd
from dtk.events.tree import Progress, Row, Task, TaskStage, TaskStep
from dtk.views.formatting import cropped, duration_text, long_duration, one_line, padded, width
from dtk.views.snapshot_table import label, status_text

STYLES = {"executing": "cyan", "failed": "red", "cancelled": "yellow", "succeeded": "green"}
"""Styles by status; every line has the status as a word, too."""

HELP = "q quits"
_HEADERS = ("TASK TYPE", "STATUS", "NODE", "DURATION")
_EXPECTED = "EXPECTED"
_FRAME_LINES = 6
"""Lines other than rows: title, progress, headers, number of hidden rows, last output, keys."""

_SMALL = 8
"""With fewer lines than this, only the title, the headers, rows and the number of hidden rows are shown."""

_FINISHED = "finished:"
"""The heading above the finished stages, which come last and therefore not in the plan's order."""

_BAR_COLUMNS = 14


@dataclass(frozen=True)
class Line:
    """A line of the frame, with the name of its style in rich."""

    text: str
    style: str = ""


def frame(
    task: Task, now: datetime, columns: int, lines: int, expectation: Expectation | None = None, footer: str = HELP
) -> list[Line]:
    """Return the lines of the screen for a task at a moment: at most ``lines`` lines of at most ``columns`` columns.

    First failed rows, then running ones, with their stages; then the other stages in one line each: those to come, and
    below a heading those that are finished. Rows that do not fit are counted. ``footer`` explains the keys.
    """
    small = lines < _SMALL
    room = max(1, lines - (3 if small else _FRAME_LINES))
    active = [(level, row) for level, row in task.rows() if _is_active(row)]
    # The sort is stable: failed rows move to the top, and each kind keeps the plan's order.
    active.sort(key=lambda item: item[1].status == "executing")
    folded: list[tuple[int, Row]] = [(1, stage.row) for stage in task.stages if not _is_active(stage.row)]
    folded.sort(key=lambda item: item[1].is_over)
    over = len(active) + sum(not row.is_over for _, row in folded)
    has_heading = 0 < over < min(room - 1, len(active + folded))
    room -= has_heading
    shown, hidden = (active + folded)[:room], (active + folded)[room:]
    table = _table(shown, now, expectation)
    # The first line of the table contains the headers.
    heading = [Line(_FINISHED, "dim")] if has_heading else []
    body = [*table[: over + 1], *heading, *table[over + 1 :], *_hidden(hidden)]
    around = (
        ([], []) if small else ([_progress(task, now, expectation)], [*_last_output(task, now), Line(footer, "dim")])
    )
    # Cut again: a terminal of two lines has no room for the table and the footer.
    whole = [_title(task, now), *around[0], *body, *around[1]]
    return [Line(cropped(line.text, columns), line.style) for line in whole[: max(1, lines)]]


def _is_active(row: Row) -> bool:
    if isinstance(row, TaskStep) and row.steps:
        return any(_is_active(member) for member in row.steps)
    if isinstance(row, TaskStage):
        return row.status in {"executing", "failed", "cancelled"} or any(_is_active(step) for step in row.steps)
    return row.status in {"executing", "failed", "cancelled"}


def _title(task: Task, now: datetime) -> Line:
    name = f"{task.service} task {task.number}: " if task.service else ""
    status = "cancelling" if task.cancelled_by and not task.is_over else status_text(task.status) or "waiting"
    return Line(f"{name}{one_line(task.title)}  {status}  {_elapsed(task, now) or '0.0s'}", "bold")


def _progress(task: Task, now: datetime, expectation: Expectation | None) -> Line:
    """Return the progress of the task as a bar and in numbers, with its expected end."""
    leaves = list(task.leaves())
    done = sum(leaf.is_over for leaf in leaves)
    filled = _BAR_COLUMNS * done // len(leaves) if leaves else 0
    parts = [f"[{'#' * filled}{'.' * (_BAR_COLUMNS - filled)}]"]
    parts.append(f"stages {sum(stage.ended_at is not None for stage in task.stages)}/{len(task.stages)}")
    parts.append(f"steps {done}/{len(leaves)}")
    end = expectation.end_of(task, now) if expectation else None
    if end:
        parts.append(_expected_end(end, now))
    return Line("  ".join(parts))


def _expected_end(end: ExpectedEnd, now: datetime) -> str:
    if end.unknown:
        return f"expected end {end.moment:%H:%M:%S} UTC or later"
    left = (end.moment - now).total_seconds()
    return f"expected end {end.moment:%H:%M:%S} UTC, in {long_duration(left)}" if left >= 1 else "expected to end now"


def _table(rows: list[tuple[int, Row]], now: datetime, expectation: Expectation | None) -> list[Line]:
    expected = [duration_text(expectation.of(row)) if expectation else "" for _, row in rows]
    cells = [
        (label(level - 1, row), _status(row), one_line(getattr(row, "node", "")), _elapsed(row, now))
        for level, row in rows
    ]
    # If no expected duration is known, the column would only waste space.
    headers = (*_HEADERS, _EXPECTED) if any(expected) else _HEADERS
    filled = [(*row, text) if any(expected) else row for row, text in zip(cells, expected, strict=True)]
    widths = [max(map(width, column)) for column in zip(headers, *filled, strict=True)]
    styles = ["dim", *(STYLES.get(row.status, "") for _, row in rows)]
    return [
        Line("  ".join(padded(cell, columns) for cell, columns in zip(row, widths, strict=True)).rstrip(), style)
        for row, style in zip([headers, *filled], styles, strict=True)
    ]


def _status(row: Row) -> str:
    """Return a row's status; for a running group with the number of finished members."""
    if isinstance(row, TaskStep) and row.steps and row.status in {"executing", "failed"}:
        leaves = list(row.leaves())
        return f"{row.status} {sum(leaf.is_over for leaf in leaves)}/{len(leaves)}"
    return status_text(row.status)


def _elapsed(part: Progress, now: datetime) -> str:
    """Return the duration, or the elapsed time until now."""
    if part.started_at is None or part.duration is not None:
        return duration_text(part.duration)
    return duration_text(max(0.0, (now - part.started_at).total_seconds()))


def _hidden(rows: list[tuple[int, Row]]) -> list[Line]:
    if not rows:
        return []
    counts = Counter(status_text(row.status) or "pending" for _, row in rows)
    return [
        Line(f"... and {len(rows)} more: {', '.join(f'{count} {status}' for status, count in counts.items())}", "dim")
    ]


def _last_output(task: Task, now: datetime) -> list[Line]:
    """Return the last line of output of the step that has been running longest."""
    running = [leaf for leaf in task.leaves() if leaf.status == "executing"]
    longest = min(running, key=lambda leaf: leaf.started_at or now, default=None)
    if longest is None:
        return []
    written = one_line(longest.last_output)
    return [Line(f"{longest.number} {longest.node} {_elapsed(longest, now)}{': ' if written else ''}{written}", "dim")]

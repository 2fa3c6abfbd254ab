"""The snapshot: a task's tree as the original's table, with its errors and further information."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dtk.events.event import utc_now
from dtk.events.expected_times import Expectation
from dtk.events.tree import Row, StepError, Task
from dtk.views.formatting import (
    RED,
    STATUS_COLORS,
    YELLOW,
    colored,
    duration_text,
    one_line,
    status_color,
    table_time,
    width,
)
from dtk.views.group_summary import Summary, summarized
from dtk.views.listing_table import render_cells
from dtk.views.step_errors import errors_text

HEADERS = ("task_type", "status", "node", "duration", "started_at", "ended_at")
TASK_LABEL = "task"
"""Replaces the step's number in front of an error that belongs to no step."""


def render_snapshot(
    task: Task,
    *,
    summarize: bool = False,
    color: bool = False,
    expectation: Expectation | None = None,
    now: datetime | None = None,
    columns: int | None = None,
) -> str:
    """Return a task's snapshot, ending with a newline.

    Source: docs/original.md 6.1.

    Args:
        task: the task.
        summarize: whether to show one row per group, with its members counted by status (``--summarize``).
        color: whether to color statuses, and the numbers (yellow) and messages (red) of errors.
        expectation: what earlier tasks took; adds the column EXPECTED and the expected end of the task.
        now: the time to calculate from; by default the current time.
        columns: the width of the terminal. A table that is too wide omits the times of day, because rows that wrap are
            unreadable. By default unlimited.
    """
    rows = [_first_row(task, expectation)]
    errors = [(TASK_LABEL, errors_text(task.errors), task.errors)] if task.errors else []
    for level, row, summary in _summaries(task, summarize):
        rows.append(_cells(level, row, summary.status, expectation))
        if summary.errors:
            errors.append((row.number, summary.error_text, summary.errors))
    section = "".join(_error(number, text, failures, color) for number, text, failures in errors)
    heading = "\nERRORS: \n\n" if section else ""
    headers = _headers(expectation)
    left_out = _too_wide(headers, rows, columns)
    kept = [index for index, header in enumerate(headers) if header not in left_out]
    cells = [[row[index] for index in kept] for row in rows]
    table = render_cells([headers[index] for index in kept], cells, _painted if color else None)
    lines = [*_expected_end(task, expectation, now or utc_now()), *_information(task)]
    return table + heading + section + _section(lines)


def _too_wide(headers: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> Sequence[str]:
    """Return the columns to omit from a table that is wider than the terminal."""
    widths = [max(map(width, column)) + 3 for column in zip(headers, *rows, strict=True)]
    # The times of day are omitted first: the log has them, and the duration says most of the same.
    return () if columns is None or sum(widths) + 1 <= columns else HEADERS[-2:]


def status_text(status: str) -> str:
    """Return a status as shown in rows, blank for steps that have not begun."""
    return "" if status == "created" else status


def label(level: int, row: Row) -> str:
    """Return the first cell of a row: indentation, number and title."""
    return f"{'  ' * level}{one_line(row.number)} {one_line(row.title)}"


def _summaries(task: Task, summarize: bool) -> list[tuple[int, Row, Summary]]:
    if summarize:
        return summarized(task)
    return [
        (level, row, Summary(status_text(row.status), errors_text(errors), errors))
        for level, row in task.rows()
        for errors in [getattr(row, "errors", ())]
    ]


def _headers(expectation: Expectation | None) -> Sequence[str]:
    return (*HEADERS[:4], "expected", *HEADERS[4:]) if expectation else HEADERS


def _first_row(task: Task, expectation: Expectation | None) -> list[str]:
    return [one_line(task.title), status_text(task.status), "", *_times(task, expectation)]


def _cells(level: int, row: Row, status: str, expectation: Expectation | None) -> list[str]:
    return [label(level, row), status, one_line(getattr(row, "node", "")), *_times(row, expectation)]


def _times(row: Row | Task, expectation: Expectation | None) -> list[str]:
    expected = [duration_text(expectation.of(row))] if expectation else []
    return [duration_text(row.duration), *expected, table_time(row.started_at), table_time(row.ended_at)]


def _painted(cell: str, filled: str) -> str:
    """Color a status; other cells with such a word (a stage's name) start with a number and stay as they are."""
    color = status_color(cell) if cell.partition("(")[0] in STATUS_COLORS else ""
    return colored(filled, color) if color else filled


def _error(number: str, text: str, errors: Sequence[StepError], color: bool) -> str:
    # Padded before it is colored: escape sequences would count as columns.
    index = f"{f'[ {number} ]':>15}"
    message = f"[{errors[0].type} ERROR] {text}"
    if color:
        index, message = colored(index, YELLOW), colored(message, RED)
    return f"{index} {message}\n"


def _expected_end(task: Task, expectation: Expectation | None, now: datetime) -> list[str]:
    if expectation is None or task.is_over:
        return []
    end = expectation.end_of(task, now)
    if end is None:
        return ["expected end: unknown; this service has no earlier task to compare with"]
    later = f", or later: no earlier task did {end.unknown} of its steps" if end.unknown else ""
    return [f"expected end: {table_time(end.moment)} UTC{later}"]


def _information(task: Task) -> list[str]:
    """Return information about a task: how to continue, steps in doubt, problems of the log."""
    lines = [f"to resume: {task.next_command}"] if task.next_command else []
    failed = next((leaf.number for leaf in task.leaves() if leaf.errors), "")
    if failed and task.service:
        number = f" --task {task.number}" if task.number else ""
        lines.append(f"details: dtk task-action-detail {task.service} {failed}{number}")
    if task.in_doubt:
        lines.append(f"in doubt: {', '.join(task.in_doubt)}")
    return lines + [f"log: {note}" for note in task.notes]


def _section(lines: Sequence[str]) -> str:
    text = "".join(f"INFO: {one_line(line)}\n" for line in dict.fromkeys(lines))
    return f"\n{text}" if text else ""

"""``task-action-detail``: everything that a step did, operation by operation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dtk.events.tree import OperationResult, Row, Task, TaskStep
from dtk.views.formatting import counted, duration_text, one_line, status_word, stream_time
from dtk.views.operation_text import commands_of, is_shown, operation_call
from dtk.views.step_errors import errors_text
from dtk.views.stream_blocks import HELD, indented, output_lines

BORDER = "=" * 62
"""Source: docs/original.md 6.5."""


def find_row(task: Task, number: str) -> Row | None:
    """Return the stage, group or step with a number; if two rows have it, the one that does something."""
    found = [row for _, row in task.rows() if row.number == number]
    return found[-1] if found else None


def render_detail(row: Row, now: datetime) -> str:
    """Return what a step did, ending with a newline; for a stage or a group, each of its steps in turn.

    Args:
        row: the step, group or stage.
        now: the time up to which the duration of a running step is calculated.
    """
    leaves = list(row.leaves())
    title = [] if row in leaves else [f"{row.number} {one_line(row.title)}: {counted(len(leaves), 'step')}", ""]
    return "\n".join([*title, *(line for leaf in leaves for line in _leaf(leaf, now))]).rstrip("\n") + "\n"


def _leaf(leaf: TaskStep, now: datetime) -> Iterator[str]:
    yield BORDER
    yield f"{leaf.number} {leaf.type} {leaf.node}".rstrip()
    names = leaf.actions or leaf.components
    if names:
        yield f"{'ACTIONS' if leaf.actions else 'COMPONENTS'}: {', '.join(names)}"
    if leaf.reason:
        yield f"REASON: {one_line(leaf.reason)}"
    yield f"STATUS: {_outcome(leaf)}"
    if leaf.started_at:
        yield f"TIME START: {stream_time(leaf.started_at)}"
        yield f"DURATION: {duration_text((leaf.ended_at or now).timestamp() - leaf.started_at.timestamp())}"
    yield BORDER
    for result in leaf.results:
        yield from _operation(result)
        yield "--"
    if leaf.status == "executing" and leaf.last_output:
        yield from ["LAST OUTPUT:", f"  {one_line(leaf.last_output)}", "--"]
    if leaf.errors:
        yield from ["ERRORS:", *indented(errors_text(leaf.errors, is_shown=is_shown(leaf))), "--"]
    if not leaf.results:
        yield "no operations recorded"
    yield ""


def _outcome(leaf: TaskStep) -> str:
    changed = {True: ", changed", False: ", unchanged", None: ""}[leaf.changed] if leaf.status == "succeeded" else ""
    attempt = f", attempt {leaf.attempt}" if leaf.attempt > 1 else ""
    return f"{status_word(leaf.status)}{changed}{attempt}{', in doubt' if leaf.in_doubt else ''}"


def _operation(result: OperationResult) -> Iterator[str]:
    yield operation_call(result)
    yield from output_lines("COMMAND", commands_of(result))
    if result.component:
        yield f"COMPONENT: {result.component}{f'.{result.action}' if result.action else ''}"
    yield f"STATUS: {operation_status(result)}"
    if result.exit_code is not None:
        yield f"RETURN CODE: {result.exit_code}"
    if result.seconds is not None:
        yield f"DURATION: {duration_text(result.seconds)}"
    yield from output_lines("STDOUT", result.stdout)
    yield from output_lines("STDERR", result.stderr)
    if result.output_held:
        yield f"NOTE: {HELD}"


def operation_status(result: OperationResult) -> str:
    """Return the result of an operation in one word: skipped, failed, changed or unchanged."""
    if result.skipped:
        return "skipped"
    if result.exit_code:
        return "failed"
    return "changed" if result.changed else "unchanged"


def numbers(task: Task) -> list[str]:
    """Return the numbers of all rows."""
    return [row.number for _, row in task.rows()]

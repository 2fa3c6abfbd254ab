"""A finished task as Markdown for a job's summary."""

from __future__ import annotations

import html
from collections.abc import Iterator

from dtk.events.tree import Task
from dtk.views.formatting import counted, harmless, long_duration, status_word
from dtk.views.markdown import cell, pre
from dtk.views.step_errors import errors_text

_MOST_FAILURES = 50


def task_markdown(task: Task) -> str:
    """Return the result of the task, its stages, and each failed step with its errors."""
    took = f" after {long_duration(task.duration)}" if task.duration is not None else ""
    lines = [f"### `{task.service}`, task {task.number}: {cell(status_word(task.status))}{took}", ""]
    lines += [*_stages(task), *_failures(task)]
    if task.next_command:
        lines += [f"To resume: `{task.next_command}`", ""]
    return "\n".join(lines)


def _stages(task: Task) -> Iterator[str]:
    if not task.stages:
        return
    yield "| | stage | status | steps | duration |"
    yield "|---|---|---|---|---|"
    for stage in task.stages:
        leaves = list(stage.leaves())
        done = sum(leaf.status == "succeeded" for leaf in leaves)
        took = "" if stage.duration is None else long_duration(stage.duration)
        status = status_word(stage.status)
        yield f"| {stage.number} | {cell(stage.name)} | {status} | {done} of {len(leaves)} | {took} |"
    yield ""


def _failures(task: Task) -> Iterator[str]:
    found = [(f"{leaf.node}: {leaf.number} {leaf.type}", leaf.errors) for leaf in task.leaves() if leaf.errors]
    found += [("The task as a whole", task.errors)] if task.errors else []
    for title, errors in found[:_MOST_FAILURES]:
        yield f"<details open><summary>{html.escape(harmless(title), quote=False)}</summary>"
        yield from ("", pre(errors_text(errors)), "", "</details>", "")
    if len(found) > _MOST_FAILURES:
        yield f"… and {counted(len(found) - _MOST_FAILURES, 'more failure')}"
        yield ""

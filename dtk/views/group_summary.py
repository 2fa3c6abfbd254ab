"""``--summarize``: shows a group in one row, with its members counted by status and each error only once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from dtk.events.derived_rows import derived_group
from dtk.events.tree import Row, StepError, Task, TaskStep
from dtk.model.names import group_of
from dtk.views.step_errors import error_text, errors_text


@dataclass(frozen=True)
class Summary:
    """The status and errors that a row shows instead of its own."""

    status: str
    error_text: str = ""
    errors: tuple[StepError, ...] = ()


def summarized(task: Task) -> list[tuple[int, Row, Summary]]:
    """Return the rows of a summary with their levels: all rows except the members of groups.

    Source: docs/original.md 6.2.
    """
    rows: list[tuple[int, Row, Summary]] = []
    for stage in task.stages:
        row = stage.row
        if isinstance(row, TaskStep):
            rows.append((1, row, _summary(row)))
            continue
        rows.append((1, stage, Summary(_blank_created(stage.status))))
        rows += [(2, step, _summary(step)) for step in _merged_members(stage.steps)]
    return rows


def _merged_members(steps: tuple[TaskStep, ...]) -> list[TaskStep]:
    """Return steps, with the steps of a group's members merged into one if the group has no row of its own.

    As in the original, machines of a group are created member by member; a summary of 300 should count these, too.
    """
    merged: list[TaskStep] = []
    for (group, kind, _), found in groupby(steps, key=lambda step: (group_of(step.node), step.type, bool(step.steps))):
        members = tuple(found)
        if len(members) == 1 or members[0].steps or members[0].node == group:
            merged += members
            continue
        row = TaskStep(number=f"{members[0].number}-{members[-1].number}", type=kind, node=group)
        merged.append(derived_group(row, members))
    return merged


def _summary(step: TaskStep) -> Summary:
    if not step.steps:
        return Summary(_blank_created(step.status), errors_text(step.errors), step.errors)
    leaves = list(step.leaves())
    errors = tuple(error for leaf in leaves for error in leaf.errors)
    return Summary(_counts(step, leaves), _merged(errors), errors)


def _counts(group: TaskStep, leaves: list[TaskStep]) -> str:
    """Return ``succeeded(2)`` or ``executing(1),succeeded(1)``; the members of cancelled groups are not counted."""
    if group.status in {"created", "cancelled"}:
        return _blank_created(group.status)
    counts = Counter(leaf.status for leaf in leaves)
    return ",".join(f"{status}({count})" for status, count in sorted(counts.items()))


def _merged(errors: tuple[StepError, ...]) -> str:
    """Return the members' errors: a single text if all are the same, else each different text once, indented."""
    texts = list(dict.fromkeys(map(error_text, errors)))
    if len(texts) <= 1:
        return "".join(texts)
    return "".join("\n  " + text.replace("\n", "\n  ") for text in texts)


def _blank_created(status: str) -> str:
    return "" if status == "created" else status

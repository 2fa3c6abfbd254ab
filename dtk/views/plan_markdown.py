"""A plan as Markdown for a pull request: summary, deletions and other changes with reasons, collapsed stages."""

from __future__ import annotations

from collections.abc import Iterable

from dtk.model.plan import Plan
from dtk.views.formatting import counted
from dtk.views.markdown import cell, pre
from dtk.views.plan_entries import Entry, component_entries, is_deletion, node_entries
from dtk.views.plan_text import (
    drift_lines,
    firewall_lines,
    left_out_lines,
    nothing_line,
    stage_lines,
    summary_line,
    volume_lines,
)

_STAGES, _NAMES, _NO_STAGES = "steps", "names", "none"


def plan_markdown(plan: Plan, max_chars: int | None = None) -> str:
    """Return the plan as GitHub-flavored Markdown; values from files and nodes can't act as markup in it.

    Args:
        plan: the plan.
        max_chars: the maximum number of characters. To fit, steps are reduced to the names of their stages, then the
            stages are omitted, then the last changes; deletions come first and are kept longest.
    """
    rows = _rows(plan)
    if max_chars is None:
        return _page(plan, rows, _STAGES)
    for stages in (_STAGES, _NAMES, _NO_STAGES):
        page = _page(plan, rows, stages)
        if len(page) <= max_chars:
            return page
    return _with_fewer_rows(plan, rows, max_chars)


def _with_fewer_rows(plan: Plan, rows: list[str], max_chars: int) -> str:
    """Return the page with as many rows as fit; if necessary, without the findings of a refresh and of a selection."""
    for is_short in (False, True):
        low, high = 0, len(rows)
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(_page(plan, _cut(rows, middle), _NO_STAGES, is_short=is_short)) <= max_chars
            low, high = (middle, high) if fits else (low, middle - 1)
        page = _page(plan, _cut(rows, low), _NO_STAGES, is_short=is_short)
        if len(page) <= max_chars:
            return page
    return page[:max_chars]


def _cut(rows: list[str], number: int) -> list[str]:
    more = len(rows) - number
    return [*rows[:number], f"| | | … and {counted(more, 'more change')} | | |"] if more else rows


def _page(plan: Plan, rows: list[str], stages: str, *, is_short: bool = False) -> str:
    lines = [
        f"### Plan for `{plan.service}`",
        "",
        f"{cell(plan.assembly)} on target {cell(str(plan.target['name']))}",
        "",
    ]
    if plan.is_empty:
        lines += [f"**{cell(nothing_line(plan))}**", ""]
    else:
        lines += [f"**{cell(summary_line(plan))}**", ""]
        lines += ["| | change | node | component | why |", "|---|---|---|---|---|", *rows, ""] if rows else []
        lines += [] if is_short else _folded("Firewall", firewall_lines(plan))
        lines += [] if is_short else _folded("Volumes", volume_lines(plan))
        lines += _folded(counted(len(plan.stages), "stage"), _stage_text(plan, stages))
    if not is_short:
        lines += _folded("Drift", drift_lines(plan))
        lines += _folded("Left out", left_out_lines(plan))
    return "\n".join(lines[:-1]) + "\n"


def _stage_text(plan: Plan, stages: str) -> list[str]:
    if stages == _NO_STAGES:
        return []
    if stages == _STAGES:
        return stage_lines(plan)
    return [f"{stage.number} {stage.name} ({counted(len(list(stage.leaves())), 'step')})" for stage in plan.stages]


def _rows(plan: Plan) -> list[str]:
    # The sort is stable: deletions and replacements move to the top, the rest keeps its order.
    entries = sorted([*node_entries(plan), *component_entries(plan)], key=lambda entry: not is_deletion(entry))
    return [_row(entry) for entry in entries]


def _row(entry: Entry) -> str:
    why = "<br>".join(map(cell, filter(None, (entry.machine, *entry.reasons))))
    return f"| `{entry.sign}` | {entry.change} | {cell(entry.nodes)} | {cell(entry.component)} | {why} |"


def _folded(title: str, lines: Iterable[str]) -> list[str]:
    text = "\n".join(lines).strip("\n")
    return [f"<details><summary>{title}</summary>", "", pre(text), "", "</details>", ""] if text else []

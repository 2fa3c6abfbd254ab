"""A plan as Markdown, to be read in a pull request: the sum, what goes and comes and why, the stages folded away."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from dtk.model.plan import Plan
from dtk.views.formatting import counted
from dtk.views.plan_entries import component_entries, is_deletion, node_entries
from dtk.views.plan_text import drift_lines, firewall_lines, left_out_lines, nothing_line, stage_lines, summary_line

_SPECIAL = str.maketrans({character: f"\\{character}" for character in r"\`*_[]|~#"})


def plan_markdown(plan: Plan) -> str:
    """Return the plan as GitHub-flavoured Markdown; values from files and nodes can't act as markup in it."""
    lines = [
        f"### Plan for `{plan.service}`",
        "",
        f"{_text(plan.assembly)} on target {_text(str(plan.target['name']))}",
        "",
    ]
    if plan.is_empty:
        lines += [f"**{_text(nothing_line(plan))}**", ""]
    else:
        lines += [f"**{_text(summary_line(plan))}**", "", *_changes(plan)]
        lines += _folded("Firewall", firewall_lines(plan))
        lines += _folded(counted(len(plan.stages), "stage"), stage_lines(plan))
    lines += _folded("Drift", drift_lines(plan))
    lines += _folded("Left out", left_out_lines(plan))
    return "\n".join(lines[:-1]) + "\n"


def _changes(plan: Plan) -> Iterator[str]:
    # Stable: what is deleted or replaced comes first, else the order stays.
    entries = sorted([*node_entries(plan), *component_entries(plan)], key=lambda entry: not is_deletion(entry))
    if not entries:
        return
    yield "| | change | node | component | why |"
    yield "|---|---|---|---|---|"
    for entry in entries:
        why = "<br>".join(map(_text, filter(None, (entry.machine, *entry.reasons))))
        yield f"| `{entry.sign}` | {entry.change} | {_text(entry.nodes)} | {_text(entry.component)} | {why} |"
    yield ""


def _folded(title: str, lines: Iterable[str]) -> list[str]:
    text = html.escape("\n".join(lines).strip("\n"), quote=False)
    return [f"<details><summary>{title}</summary>", "", f"<pre>{text}</pre>", "", "</details>", ""] if text else []


def _text(value: str) -> str:
    return html.escape(" ".join(value.split()), quote=False).translate(_SPECIAL)

"""The report's comparison with the previous task: slower, faster, new and missing stages and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dtk.events.expected_times import Key, leaf_key
from dtk.events.tree import Task, TaskStage, TaskStep
from dtk.model.names import ASSEMBLY_WIDE, group_of, node_order
from dtk.views.markup import Markup, join, tag
from dtk.views.plan_entries import members_text
from dtk.views.report.elements import NOTICEABLE_SECONDS, badge, change_of, section, time_taken

LISTED = 8
"""Maximum number of listed steps of each kind; there may be thousands."""
_NOTABLE_SECONDS = 0.5
"""Smaller differences, in seconds, are noise."""


def comparison_section(task: Task, before: Task) -> Markup:
    """Return how a task differs from the previous one, stage by stage, and which steps differ most."""
    facts = tag(
        "p",
        f"Task {before.number} ",
        badge(before.status),
        f" took {time_taken(before.duration) or '?'}",
        _by(task, before),
    )
    return section(
        "Compared with the previous task", facts, _stage_table(task, before), _steps(task, before), id_="comparison"
    )


def _by(task: Task, before: Task) -> str:
    if task.duration is None or before.duration is None:
        return "."
    change = task.duration - before.duration
    share = f", {change / before.duration:+.0%}" if before.duration else ""
    return f"; this one took {time_taken(task.duration)} ({change_of(change)}{share})."


def _stage_table(task: Task, before: Task) -> Markup:
    old = {stage.name: stage for stage in before.stages}
    longest = max([s.duration or 0.0 for s in (*task.stages, *before.stages)], default=0.0) or 1.0
    rows = [_stage_row(stage, old.get(stage.name), longest) for stage in task.stages]
    names = {stage.name for stage in task.stages}
    gone = [_gone_row(stage) for stage in before.stages if stage.name not in names]
    titles = ("Stage", "Before", "This task", "Difference", "")
    head = tag("tr", *(tag("th", title) for title in titles))
    return tag("table", tag("thead", head), tag("tbody", *rows, *gone), class_="compared")


def _stage_row(stage: TaskStage, old: TaskStage | None, longest: float) -> Markup:
    now, then = stage.duration, old.duration if old else None
    difference = "only in this task" if old is None else ""
    if now is not None and then is not None:
        difference = change_of(now - then) if abs(now - then) >= NOTICEABLE_SECONDS else "same"
    bars = tag("div", _bar(then, longest, "then"), _bar(now, longest, "now"), class_="pair")
    cells = [f"{stage.number} {stage.name}", _text(then, old), _text(now, stage), difference]
    return tag("tr", *(tag("td", cell) for cell in cells), tag("td", bars, class_="bars"))


def _text(seconds: float | None, stage: TaskStage | None) -> str:
    ending = f" {stage.status}" if stage and stage.status in {"failed", "cancelled"} else ""
    return time_taken(seconds) + ending


def _bar(seconds: float | None, longest: float, kind: str) -> Markup:
    return tag(
        "i", class_=kind, style=f"width:{(seconds or 0.0) / longest:.2%}", title=f"{kind}: {time_taken(seconds)}"
    )


def _gone_row(stage: TaskStage) -> Markup:
    cells = [stage.name, time_taken(stage.duration), "", "not in this task"]
    return tag("tr", *(tag("td", cell) for cell in cells), tag("td"), class_="gone")


def _steps(task: Task, before: Task) -> Markup | None:
    old, new = _by_key(before), _by_key(task)
    both = [(new[key], old[key]) for key in new if key in old]
    changes = [(step, then, (step.duration or 0.0) - (then.duration or 0.0)) for step, then in both
               if step.status == then.status == "succeeded"]  # fmt: skip
    slower = sorted((c for c in changes if c[2] >= _NOTABLE_SECONDS), key=lambda c: -c[2])
    faster = sorted((c for c in changes if c[2] <= -_NOTABLE_SECONDS), key=lambda c: c[2])
    turned = [f"{step.number} {step.type} {step.node}: {then.status}, now {step.status}" for step, then in both
              if step.status != then.status and step.is_over and then.is_over]  # fmt: skip
    lists = [
        _list("Ended differently", turned),
        _list("Slower", [_difference(*change) for change in slower]),
        _list("Faster", [_difference(*change) for change in faster]),
        _list("New nodes", _named(_made(task))),
        _list("Nodes that were not in the previous task", _named(nodes_of(task) - nodes_of(before) - _made(task))),
        _list("Nodes that are not in this task", _named(nodes_of(before) - nodes_of(task))),
    ]
    found = [item for item in lists if item]
    return tag("div", *found, class_="lists") if found else None


def _by_key(task: Task) -> Mapping[Key, TaskStep]:
    return {leaf_key(leaf): leaf for leaf in task.leaves()}


def nodes_of(task: Task) -> set[str]:
    """Return the nodes that have steps in a task; assembly-wide components run on no node."""
    return {leaf.node for leaf in task.leaves()} - {"", ASSEMBLY_WIDE}


def _made(task: Task) -> set[str]:
    """Return the nodes that a task creates."""
    return {leaf.node for leaf in task.leaves() if leaf.type == "create_node"}


def _named(nodes: set[str]) -> list[str]:
    """Return nodes in order, with the members of a group as one, such as ``slaves:[3-299]``."""
    ordered = sorted(nodes, key=node_order)
    return [members_text(list(group)) for _, group in groupby(ordered, key=group_of)]


def _difference(step: TaskStep, then: TaskStep, change: float) -> str:
    times = f"{time_taken(then.duration)} to {time_taken(step.duration)}"
    return f"{step.number} {step.type} {step.node}: {change_of(change)} ({times})"


def _list(title: str, lines: Sequence[str]) -> Markup | None:
    if not lines:
        return None
    more = tag("li", f"and {len(lines) - LISTED} more", class_="quiet") if len(lines) > LISTED else None
    return tag("div", tag("h3", title), tag("ul", join(*_items(lines)), more))


def _items(lines: Sequence[str]) -> Iterator[Markup]:
    for line in lines[:LISTED]:
        yield tag("li", line)

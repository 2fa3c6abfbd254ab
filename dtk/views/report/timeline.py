"""The timeline of the report: stages and nodes as bars to scale, with the critical path marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dtk.events.critical_path import critical_path
from dtk.events.tree import Row, Status, Task, TaskStage, TaskStep
from dtk.model.names import group_of, node_order
from dtk.views.formatting import long_duration, status_word
from dtk.views.markup import Markup, join, tag
from dtk.views.picture import gravest
from dtk.views.report.elements import anchor, mark, section, time_taken

OPEN_MEMBERS = 8
"""Groups with up to this many members are open; larger ones are collapsed."""

_TICKS = 10
"""Maximum number of ticks on the axis."""
_NICE_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_NARROW = 3.0
_ROOMY = 14.0
"""Percent of the width below which a bar has no text, and from which it has the full name of its stage."""


@dataclass(frozen=True)
class Scale:
    """The time span shown by the timeline."""

    start: datetime
    seconds: float

    def position(self, moment: datetime) -> float:
        """Return the position of a moment in percent of the width."""
        return min(max(0.0, (moment - self.start).total_seconds() / self.seconds * 100), 100.0)


@dataclass(frozen=True)
class Bar:
    """A bar of the timeline: a stage, a step, or the steps of a group's members in one stage.

    ``number`` is the stage's; ``name`` is its name if the bar is the stage itself, else "".
    """

    start: datetime
    end: datetime
    status: Status
    number: str
    name: str
    title: str
    link: str
    critical: bool = False


def timeline(task: Task, now: datetime) -> Markup | None:
    """Return the timeline up to ``now`` or the task's end; None if the task has not begun."""
    if task.started_at is None:
        return None
    end = task.ended_at or now
    scale = Scale(task.started_at, max((end - task.started_at).total_seconds(), 0.001))
    path = critical_path(task)
    critical = {step.number for step in path}
    lanes = [_stage_lane(task, scale, end), *_node_lanes(task, scale, end, critical)]
    body = tag("div", _axis(scale), *lanes, _legend(), class_="timeline")
    return section("Timeline", body, _path(task, path, now), id_="timeline")


def _axis(scale: Scale) -> Markup:
    """Return the axis, with ticks at round numbers of seconds since the task's start."""
    nice = next((s for s in _NICE_SECONDS if scale.seconds / s <= _TICKS), scale.seconds / _TICKS)
    count = int(scale.seconds / nice)
    ticks = [
        tag("span", tag("b", _tick_text(index * nice)), class_="tick", style=f"left:{index * nice / scale.seconds:.3%}")
        for index in range(count + 1)
    ]
    return tag("div", tag("span", class_="lane-name"), tag("div", *ticks, class_="track"), class_="lane axis")


def _tick_text(seconds: float) -> str:
    return f"{seconds:g}s" if seconds < 60 else long_duration(seconds).removesuffix(" 0s").removesuffix(" 0m")


def _stage_lane(task: Task, scale: Scale, end: datetime) -> Markup:
    spans = [_span(stage, stage, f"{stage.number} {stage.name}", end) for stage in task.stages]
    return _lane("Stages", [span for span in spans if span], scale, "stages")


def _node_lanes(task: Task, scale: Scale, end: datetime, critical: set[str]) -> Iterator[Markup]:
    begun: dict[str, list[tuple[TaskStage, TaskStep]]] = {}
    for stage in task.stages:
        for leaf in stage.leaves():
            if leaf.started_at:
                begun.setdefault(leaf.node, []).append((stage, leaf))
    groups: dict[str, list[str]] = {}
    for node in sorted(begun, key=node_order):
        groups.setdefault(group_of(node), []).append(node)
    for group, members in groups.items():
        if members == [group]:
            yield _lane(group, _node_spans(begun[group], end, critical), scale)
            continue
        steps = [found for node in members for found in begun[node]]
        summary = tag("summary", _lane(f"{group} ({len(members)})", _group_spans(steps, end, critical), scale))
        lanes = [_lane(node, _node_spans(begun[node], end, critical), scale, "member") for node in members]
        yield tag("details", summary, *lanes, open=len(members) <= OPEN_MEMBERS, id=f"lanes-{group}")


def _node_spans(steps: Iterable[tuple[TaskStage, TaskStep]], end: datetime, critical: set[str]) -> list[Bar]:
    spans = (
        _span(leaf, stage, f"{leaf.number} {leaf.type} {leaf.node}, stage {stage.name}", end,
              critical=leaf.number in critical)
        for stage, leaf in steps
    )  # fmt: skip
    return [span for span in spans if span]


def _group_spans(steps: Iterable[tuple[TaskStage, TaskStep]], end: datetime, critical: set[str]) -> list[Bar]:
    """Return a bar per stage that the group takes part in, from the start of its first to the end of its last step."""
    stages: dict[str, tuple[TaskStage, list[TaskStep]]] = {}
    for stage, leaf in steps:
        stages.setdefault(stage.number, (stage, []))[1].append(leaf)
    spans = [_group_span(stage, leaves, end, critical) for stage, leaves in stages.values()]
    return sorted(spans, key=lambda span: span.start)


def _group_span(stage: TaskStage, leaves: Sequence[TaskStep], end: datetime, critical: set[str]) -> Bar:
    status = gravest(leaf.status for leaf in leaves)
    counts = ", ".join(
        f"{sum(leaf.status == word for leaf in leaves)} {status_word(word)}"
        for word in dict.fromkeys(leaf.status for leaf in leaves)
    )
    return Bar(
        min(leaf.started_at for leaf in leaves if leaf.started_at),
        max(leaf.ended_at or end for leaf in leaves),
        status,
        stage.number,
        "",
        f"stage {stage.number} {stage.name}: {counts}",
        anchor(stage.number),
        any(leaf.number in critical for leaf in leaves),
    )


def _span(row: Row, stage: TaskStage, title: str, end: datetime, *, critical: bool = False) -> Bar | None:
    if row.started_at is None:
        return None
    seconds = row.duration if row.duration is not None else (end - row.started_at).total_seconds()
    message = f"{title}: {status_word(row.status)}, {time_taken(seconds)}"
    name = stage.name if row is stage else ""
    return Bar(
        row.started_at, row.ended_at or end, row.status, stage.number, name, message, anchor(row.number), critical
    )


def _lane(name: str, spans: Sequence[Bar], scale: Scale, kind: str = "") -> Markup:
    worst = mark(gravest(span.status for span in spans)) if spans and kind != "stages" else None
    title = tag("span", worst, name, class_="lane-name", title=name)
    return tag("div", title, tag("div", [_bar(span, scale) for span in spans], class_="track"), class_=f"lane {kind}")


def _bar(span: Bar, scale: Scale) -> Markup:
    left, right = scale.position(span.start), scale.position(span.end)
    wide = right - left
    return tag(
        "a",
        f"{span.number} {span.name}" if wide >= _ROOMY else span.number if wide >= _NARROW else None,
        class_=f"bar {span.status}{' critical' if span.critical else ''}",
        href=f"#{span.link}",
        style=f"left:{left:.3f}%;width:{wide:.3f}%",
        title=span.title + (" (on the critical path)" if span.critical else ""),
    )


def _legend() -> Markup:
    statuses: tuple[Status, ...] = ("succeeded", "failed", "cancelled", "executing")
    keys = [tag("span", tag("i", class_=f"bar {status}"), status) for status in statuses]
    return tag(
        "p", *keys, tag("span", tag("i", class_="bar succeeded critical"), "on the critical path"), class_="legend"
    )


def _path(task: Task, path: Sequence[TaskStep], now: datetime) -> Markup | None:
    """Return the critical path as a list of the steps that the task had to wait for, with their shares as bars."""
    seconds = [_seconds(step, now) for step in path]
    total = ((task.ended_at or now) - (task.started_at or now)).total_seconds() or 0.001
    between = max(0.0, total - sum(seconds))
    rows = [_path_row(step, taken, total) for step, taken in zip(path, seconds, strict=True)]
    message = f"{time_taken(sum(seconds))} in {len(path)} steps that the task had to wait for, one after the other"
    rest = f"; {time_taken(between)} between them." if between >= 0.05 else "."
    heading = tag("p", tag("strong", "Critical path: "), message + rest)
    return join(heading, tag("ol", *rows, class_="path")) if path else None


def _path_row(step: TaskStep, seconds: float, total: float) -> Markup:
    link = tag("a", f"{step.number} {step.type}", href=f"#{anchor(step.number)}")
    share = tag("i", class_="share", style=f"width:{seconds / total:.2%}")
    return tag("li", link, " ", tag("em", step.node), " ", tag("b", time_taken(seconds)), share)


def _seconds(step: TaskStep, now: datetime) -> float:
    return max(timedelta(), (step.ended_at or now) - (step.started_at or now)).total_seconds()

"""The page of the report: its parts by importance, errors first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from dtk.events.tree import Status, Task, TaskStage
from dtk.views.formatting import one_line
from dtk.views.markup import Markup, join, tag
from dtk.views.picture import Arrow, picture_of_task
from dtk.views.picture_svg import STYLE, picture_svg
from dtk.views.report.comparison import comparison_section, nodes_of
from dtk.views.report.elements import NOTICEABLE_SECONDS, anchor, badge, mark, section, time_taken
from dtk.views.report.steps import errors_section, steps_section
from dtk.views.report.timeline import timeline

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The content security policy: the page may load and run nothing."""


@dataclass(frozen=True)
class Surroundings:
    """What a page shows besides its task.

    ``before`` is the previous task, for comparison; ``arrows`` say which component uses which, if known, because the
    log does not.
    """

    before: Task | None = None
    arrows: tuple[Arrow, ...] = ()


def report_page(task: Task, now: datetime, *, before: Task | None = None, arrows: Iterable[Arrow] = ()) -> str:
    """Return a task's report as one self-contained HTML page.

    Args:
        task: the task.
        now: the time at which the page is made; a running task is shown up to then.
        before: the previous task, for comparison.
        arrows: which component uses which, if known; the log does not say.
    """
    parts = page_parts(task, now, Surroundings(before, tuple(arrows)))
    return whole_page(page_title(task), [*parts.values(), steps_section(task), foot(now)], POLICY)


def whole_page(title: str, content: Iterable[Markup | None], policy: str) -> str:
    """Return an HTML page with the report's styles, restricted by a content security policy."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # All texts are escaped; if one is not, the browser still loads and runs nothing.
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("title", title),
        tag("style", Markup(_style())),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', tag('main', *content)), lang='en')}\n"


def page_title(task: Task) -> str:
    """Return the title of the page."""
    return f"{task.service} task {task.number}: {task.status}"


def _style() -> str:
    return files("dtk.views.report").joinpath("style.css").read_text(encoding="utf-8") + STYLE


def page_parts(task: Task, now: datetime, around: Surroundings) -> Mapping[str, Markup | None]:
    """Return the parts above the steps by id, in the page's order; None for parts without content."""
    before = around.before
    return {
        "head": _head(task, now, before),
        "errors": errors_section(task),
        "timeline": timeline(task, now),
        "topology": _topology(task, around.arrows),
        "comparison": comparison_section(task, before) if before else None,
    }


def _by(task: Task) -> Iterable[str]:
    """Yield who started the task; the job's address is not a link, because logs are untrusted."""
    yield f"by {task.by.who}" if task.by.who else ""
    yield f"from commit {task.by.source}" if task.by.source else ""
    yield task.by.job_url


def _head(task: Task, now: datetime, before: Task | None) -> Markup:
    name = tag("h1", task.service or task.title, tag("span", f" task {task.number}" if task.number else ""))
    parts = (task.title, task.assembly, f"on target {task.target}" if task.target else "", *_by(task))
    message = [part for part in parts if part]
    links = [("errors", "Errors")] if task.errors or any(leaf.errors for leaf in task.leaves()) else []
    links += [("timeline", "Timeline"), ("topology", "Topology")]
    links += [("comparison", "Compared")] if before else []
    nav = tag("nav", *(tag("a", title, href=f"#{id_}") for id_, title in (*links, ("steps", "Steps"))))
    return tag(
        "header",
        tag("div", name, badge(task.status), class_="title"),
        tag("p", " \u00b7 ".join(message), class_="quiet"),
        tag("div", *_facts(task, now, before), class_="facts"),
        tag("ol", *map(_stage_pill, task.stages), class_="pills") if task.stages else None,
        join(tag("p", "The log: ", note, class_="warning") for note in task.notes),
        nav,
        id="head",
    )


def _stage_pill(stage: TaskStage) -> Markup:
    """Return a stage as a pill: its status, its name, its progress."""
    leaves = list(stage.leaves())
    over = sum(leaf.is_over for leaf in leaves)
    share = tag("i", style=f"width:{over / len(leaves) if leaves else 0:.1%}")
    name = tag("span", f"{stage.number} {one_line(stage.name)}", class_="pill-name")
    count = tag("small", f"{over}/{len(leaves)}")
    link = tag("a", mark(stage.status), name, count, share, href=f"#{anchor(stage.row.number)}", title=stage.name)
    return tag("li", link, class_=f"pill {stage.status}")


def _facts(task: Task, now: datetime, before: Task | None) -> Iterable[Markup]:
    leaves = list(task.leaves())
    seconds = task.duration
    if seconds is None and task.started_at:
        seconds = (now - task.started_at).total_seconds()
    if seconds is not None:
        against = before.duration if before and task.duration is not None else None
        yield _fact("Duration", time_taken(seconds), _against(seconds - against, before) if against and before else "")
    yield _fact("Nodes", str(len(nodes_of(task))))
    yield _fact("Stages", f"{_done(stage.status for stage in task.stages)} of {len(task.stages)}")
    changed = sum(leaf.changed is True for leaf in leaves)
    yield _fact("Steps", f"{_done(leaf.status for leaf in leaves)} of {len(leaves)}", f"{changed} changed something")
    failed = sum(leaf.status == "failed" for leaf in leaves)
    if failed:
        yield _fact("Failed", str(failed), "in doubt: " + ", ".join(task.in_doubt) if task.in_doubt else "", "failed")
    if task.started_at:
        ended = f"to {_clock(task.ended_at)}" if task.ended_at else "still running"
        yield _fact("Started (UTC)", _clock(task.started_at), ended)


def _against(seconds: float, before: Task) -> str:
    """Return in words how much longer or shorter a task took than the previous one."""
    name = f"task {before.number}" if before.number else "the previous task"
    if abs(seconds) < NOTICEABLE_SECONDS:
        return f"as long as {name}"
    return f"{time_taken(abs(seconds))} {'longer' if seconds > 0 else 'shorter'} than {name}"


def _done(statuses: Iterable[Status]) -> int:
    return sum(status == "succeeded" for status in statuses)


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _fact(name: str, value: str, note: str = "", kind: str = "") -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, class_=kind or None), tag("small", note), class_="fact")


def _topology(task: Task, arrows: Iterable[Arrow]) -> Markup | None:
    picture = picture_of_task(task, arrows)
    if not picture.boxes:
        return None
    note = "The nodes and components of this task; a square is a member of a group."
    if picture.arrows:
        note += " Arrows lead from a component to the one it uses."
    return section(
        "Topology", tag("div", picture_svg(picture, standalone=False), class_="scroll"), note=note, id_="topology"
    )


def foot(now: datetime) -> Markup:
    """Return the footer of the page."""
    made = f"{now:%Y-%m-%d %H:%M:%S}"
    return tag("footer", f"Generated by dtk at {made} from the task's event log. Times are UTC.", id="foot")

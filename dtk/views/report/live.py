"""The report of a running task: the whole page once, then every part that has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from dtk.events.tree import Task, TaskStage, TaskStep
from dtk.views.markup import Markup, tag
from dtk.views.report.page import Surroundings, foot, page_parts, page_title, whole_page
from dtk.views.report.steps import stage_part, stage_place, steps_section


@dataclass(frozen=True)
class Part:
    """A changed part of the page; ``place`` is the id of the element that it replaces."""

    place: str
    markup: Markup


def live_policy(nonce: str) -> str:
    """Return the content security policy of a live page: its own script and its own events, and nothing else."""
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def live_page(task: Task, now: datetime, around: Surroundings, nonce: str) -> str:
    """Return the page of a running task, which updates its parts from ``events`` beside it.

    Without JavaScript, it is the report as of ``now``.

    Args:
        task: the task.
        now: the time at which the page is made.
        around: what the page shows besides the task.
        nonce: the nonce that only the page's own script has.
    """
    status = tag("p", id="live", class_="live", role="status", hidden=True)
    still = tag("noscript", tag("p", "JavaScript is off: this is the task as it was when the page was loaded."))
    parts = [markup or _absent(place) for place, markup in page_parts(task, now, around).items()]
    script = tag("script", Markup(files("dtk.views.report").joinpath("live.js").read_text("utf-8")), nonce=nonce)
    content = [status, still, *parts, steps_section(task), foot(now), script]
    return whole_page(page_title(task), content, live_policy(nonce))


def _absent(place: str) -> Markup:
    """Return a placeholder for a part that has no content yet."""
    return tag("section", id=place, hidden=True)


class LiveParts:
    """The parts of a task that one browser has received."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._sent: dict[str, Markup] = {}
        self._stages: dict[str, TaskStage] = {}
        self._steps: dict[str, TaskStep] = {}

    def changed(self, task: Task, now: datetime) -> Iterator[Part]:
        """Yield the parts that differ from those sent last; a step is sent again only if it has changed itself."""
        for place, markup in page_parts(task, now, self._around).items():
            yield from self._if_changed(Part(place, markup or _absent(place)))
        for stage in task.stages:
            # A fold returns the identical object for a stage that has not changed.
            if self._stages.get(stage.number) is not stage:
                yield Part(stage_place(stage), stage_part(stage, self._steps))
                self._stages[stage.number] = stage
                self._steps |= {leaf.number: leaf for leaf in stage.leaves()}
        if task.is_over:
            yield from self._if_changed(Part("foot", foot(now)))

    def _if_changed(self, part: Part) -> Iterator[Part]:
        if self._sent.get(part.place) != part.markup:
            self._sent[part.place] = part.markup
            yield part

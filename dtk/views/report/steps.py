"""The steps in the report: each stage, group and step is collapsible, with its operations and their output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from dtk.events.tree import OperationResult, Row, Task, TaskStage, TaskStep
from dtk.views.formatting import one_line, status_word
from dtk.views.markup import Markup, join, tag
from dtk.views.operation_text import commands_of, is_shown, operation_call
from dtk.views.report.elements import anchor, badge, mark, section, summary_place, time_taken
from dtk.views.step_detail import operation_status
from dtk.views.step_errors import error_text, errors_text

MANY = 12
"""With more steps than this at one level, successful ones are collapsed."""

LONGEST_OUTPUT = 6000
"""Maximum characters of an output in the page, so that a browser opens a page of 300 nodes at once."""

_NOTHING = {"executing": "Running; no operation has finished yet.", "created": "Not started yet."}
_SIGNS = {"changed": "~", "unchanged": "=", "skipped": "-", "failed": "\u2717"}


Known = Mapping[str, TaskStep]
"""Steps that a live page has already, by number; they are sent as placeholders, and the page keeps its own elements."""
_NONE: Known = MappingProxyType({})


def steps_section(task: Task) -> Markup:
    """Return all stages with their content; failed ones are open."""
    note = "Click a line for details. Failed steps are open."
    return section("Steps", *map(stage_part, task.stages), note=note, id_="steps")


def stage_place(stage: TaskStage) -> str:
    """Return the id of a stage in the page."""
    return f"stage-{stage.number}"


def stage_part(stage: TaskStage, known: Known = _NONE) -> Markup:
    """Return a stage with its content."""
    row = stage.row
    if isinstance(row, TaskStep):
        return tag("div", _leaf(row, known), class_="stage", id=stage_place(stage))
    message = [tag("b", f"{stage.number} {one_line(stage.name)}"), tag("span", _counts(stage), class_="quiet")]
    summary = tag("summary", mark(stage.status), *message, tag("span", time_taken(stage.duration), class_="time"))
    members = _members(stage.steps, known, stage.number)
    inner = tag("div", *members, class_="inner", id=anchor(stage.number))
    return tag("details", summary, inner, id=stage_place(stage), class_="stage", open=_is_open(stage))


def _members(steps: Sequence[TaskStep], known: Known, number: str) -> Iterator[Markup]:
    """Yield steps; of many, first those that need attention, then the others collapsed into one line."""
    if len(steps) <= MANY:
        yield from (_step(step, known) for step in steps)
        return
    yield from (_step(step, known) for step in steps if _needs_a_look(step))
    others = [step for step in steps if not _needs_a_look(step)]
    if others:
        counts = Counter(step.status for step in others)
        message = ", ".join(f"{count} {status_word(status)}" for status, count in counts.items())
        folded = [_step(step, known) for step in others]
        yield tag("details", tag("summary", message), *folded, class_="others", id=f"others-{number}")


def _needs_a_look(step: TaskStep) -> bool:
    return bool(step.steps) or step.status in {"failed", "cancelled", "executing"}


def _is_open(row: Row) -> bool:
    return any(leaf.status == "failed" or leaf.errors for leaf in row.leaves())


def _counts(row: Row) -> str:
    counts = Counter(leaf.status for leaf in row.leaves())
    return ", ".join(f"{count} {status_word(status)}" for status, count in counts.items())


def _step(step: TaskStep, known: Known) -> Markup:
    if not step.steps:
        return _leaf(step, known)
    names = tag("span", one_line(step.type), " ", tag("em", step.node), class_="what")
    message = [tag("b", step.number), names, tag("span", _counts(step), class_="quiet")]
    summary = tag("summary", mark(step.status), *message, tag("span", time_taken(step.duration), class_="time"))
    inner = tag("div", *_members(step.steps, known, step.number), class_="inner", id=anchor(step.number))
    return tag("details", summary, inner, id=summary_place(step.number), class_="group", open=_is_open(step))


def _leaf(step: TaskStep, known: Known) -> Markup:
    if known.get(step.number) is step:
        return tag("i", data_keep=summary_place(step.number))
    changed = {True: "changed", False: "unchanged", None: ""}[step.changed] if step.status == "succeeded" else ""
    summary = tag(
        "summary",
        mark(step.status),
        tag("b", step.number),
        tag("span", one_line(step.type), " ", tag("em", step.node), class_="what"),
        tag("span", ", ".join(step.actions or step.components), class_="quiet names"),
        tag("span", changed, class_="quiet"),
        tag("span", time_taken(step.duration), class_="time"),
    )
    inner = tag("div", *_details(step), class_="inner", id=anchor(step.number))
    return tag("details", summary, inner, id=summary_place(step.number), class_="leaf", open=_is_open(step))


def _details(step: TaskStep) -> Iterator[Markup]:
    if step.reason:
        yield tag("p", "Why: ", one_line(step.reason), class_="quiet")
    for error in step.errors:
        yield tag("pre", error_text(error, is_shown=is_shown(step)), class_="error")
    if step.status == "executing" and step.last_output:
        yield tag("p", "Last output: ", tag("code", one_line(step.last_output)))
    if step.results:
        operations = (_operation(result, f"{step.number}-{place}") for place, result in enumerate(step.results))
        yield tag("ul", *operations, class_="operations")
    elif not step.errors:
        yield tag("p", _NOTHING.get(step.status, "No operations recorded."), class_="quiet")


def _operation(result: OperationResult, place: str) -> Markup:
    status = operation_status(result)
    heading = join(
        tag("span", f"{_SIGNS[status]} {status}", class_=f"outcome {status}"),
        tag("code", operation_call(result).removesuffix(" (syscall)")),
        tag("span", _numbers(result), class_="quiet time"),
    )
    outputs = [
        *_output("commands", commands_of(result)),
        *_output("stdout", result.stdout),
        *_output("stderr", result.stderr),
    ]
    if not outputs:
        return tag("li", tag("div", heading, class_="plain"))
    return tag("li", tag("details", tag("summary", heading), *outputs, open=status == "failed", id=f"did-{place}"))


def _numbers(result: OperationResult) -> str:
    code = f"exit {result.exit_code}, " if result.exit_code else ""
    return code + time_taken(result.seconds)


def _output(name: str, text: str) -> Iterator[Markup]:
    shown = text.rstrip("\n")
    if not shown:
        return
    left_out = len(shown) - LONGEST_OUTPUT
    note = f"{left_out} characters left out; dtk task-action-detail shows them\n" if left_out > 0 else ""
    yield tag("div", name, class_="stream")
    yield tag("pre", tag("i", note) if note else None, shown[-LONGEST_OUTPUT:])


def errors_section(task: Task) -> Markup | None:
    """Return the section of errors, which comes first: each error with its step and its output."""
    failed: dict[str, list[TaskStep]] = {}
    for leaf in task.leaves():
        if leaf.errors:
            failed.setdefault(f"{leaf.type}\0{errors_text(leaf.errors)}", []).append(leaf)
    cards = [
        tag("article", tag("h3", "The task"), tag("pre", error_text(error)), class_="problem") for error in task.errors
    ]
    cards += [_problem(alike) for alike in failed.values()]
    if not cards:
        return None
    shown, more = cards[:_OPEN_PROBLEMS], cards[_OPEN_PROBLEMS:]
    rest = tag("details", tag("summary", f"{len(more)} more"), *more, id="more-errors") if more else None
    resume = tag("p", "To resume: ", tag("code", task.next_command)) if task.next_command else None
    count = len(task.errors) + sum(map(len, failed.values()))
    return section(f"Errors ({count})", *shown, rest, resume, id_="errors")


_OPEN_PROBLEMS = 12
"""Maximum number of different errors shown; the others are collapsed."""


def _problem(alike: Sequence[TaskStep]) -> Markup:
    """Return one card for all steps with the same error: if 300 nodes fail, a different error stays visible."""
    first, *others = alike
    where = f" on {len(alike)} nodes" if others else " on "
    heading = tag(
        "h3",
        badge(first.status),
        " ",
        tag("a", f"{first.number} {one_line(first.type)}", href=f"#{anchor(first.number)}"),
        where,
        None if others else tag("em", first.node),
        tag("span", f" [{first.errors[0].type} ERROR]", class_="quiet"),
    )
    nodes = [tag("a", leaf.node, href=f"#{anchor(leaf.number)}") for leaf in alike] if others else []
    return tag(
        "article",
        heading,
        tag("pre", errors_text(first.errors)),
        _listed(nodes, f"alike-{first.number}"),
        class_="problem",
    )


_LISTED_NODES = 20
"""Maximum number of nodes shown for one error; the others are collapsed."""


def _listed(links: Sequence[Markup], place: str) -> Markup | None:
    if not links:
        return None
    shown, more = links[:_LISTED_NODES], links[_LISTED_NODES:]
    rest = tag("details", tag("summary", f"{len(more)} more"), *_spaced(more), id=place) if more else None
    return tag("div", *_spaced(shown), rest, class_="quiet")


def _spaced(links: Sequence[Markup]) -> Iterator[Markup | str]:
    for link in links:
        yield from (link, " ")

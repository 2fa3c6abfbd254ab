"""Annotations that a forge shows beside the code: a failed step or an error in a file, with its location."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dtk.errors import Location, Problem
from dtk.events.tree import Task, TaskStage, TaskStep
from dtk.model.names import CREATE
from dtk.views.step_errors import errors_text

MOST_ANNOTATIONS = 10
"""GitHub keeps ten errors and ten warnings per step of a job and silently drops the rest."""

PlaceOf = Callable[[str, str], Location | None]
"""Returns the location of a component's action, or None if it is not in a file of the repository."""


@dataclass(frozen=True)
class Annotation:
    """One message beside the code. ``title`` is its heading, "" for none."""

    message: str
    title: str = ""
    place: Location | None = None
    is_warning: bool = False


def problem_annotations(problems: Iterable[Problem], *, is_warning: bool = False) -> list[Annotation]:
    """Return annotations for errors in documents; private content of the documents is not repeated."""
    return [
        Annotation(str(replace(problem, location=None)), place=problem.location, is_warning=is_warning)
        for problem in problems
    ]


def task_annotations(task: Task, place_of: PlaceOf) -> list[Annotation]:
    """Return annotations for the failures of a task: those of its steps, then those that belong to no step."""
    steps = [_step_annotation(stage, leaf, place_of) for stage, leaf in _failed_leaves(task)]
    return [*steps, *(Annotation(errors_text([error]), f"task {task.number}") for error in task.errors)]


def _failed_leaves(task: Task) -> Iterator[tuple[TaskStage, TaskStep]]:
    return ((stage, leaf) for stage in task.stages for leaf in stage.leaves() if leaf.status == "failed")


def _step_annotation(stage: TaskStage, leaf: TaskStep, place_of: PlaceOf) -> Annotation:
    component = next((error.component for error in leaf.errors if error.component), "")
    action = next((name for name in leaf.actions if name.startswith(f"{component}.")), CREATE).rpartition(".")[2]
    place = place_of(component, action) if component else None
    return Annotation(errors_text(leaf.errors) or "failed", f"{leaf.node}: {leaf.number} {stage.name}", place)


def fitting(found: Sequence[Annotation], noun: str) -> list[Annotation]:
    """Return the annotations that a forge shows; the last one says how many more there are.

    Args:
        found: annotations of one kind.
        noun: what they are, in the plural, such as ``failures``.
    """
    more = len(found) - MOST_ANNOTATIONS
    if more <= 0:
        return list(found)
    shown = list(found[:MOST_ANNOTATIONS])
    return [*shown[:-1], replace(shown[-1], message=f"{shown[-1].message}\n… and {more} more {noun}; see the log")]

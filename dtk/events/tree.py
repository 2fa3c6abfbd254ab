"""A task as described by its log: the tree of stages and steps that all views show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from dtk.model.author import NOBODY, Author

Status = Literal["created", "executing", "succeeded", "failed", "cancelled"]
"""Source: docs/original.md 5.4; ``created`` is shown as a blank."""

ErrorType = Literal["USER", "TEST", "SERVER"]
FINAL_STATUSES: tuple[Status, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class StepError:
    """Why a step failed: a one-line message, and if a command failed, its exit code and last output."""

    message: str
    type: ErrorType = "SERVER"
    component: str = ""
    command: str = ""
    exit_code: int | None = None
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class OperationResult:
    """The result of one operation or command of a step; ``kind`` is ``operation``, ``run`` or ``add``.

    ``arguments`` are the operation's arguments as a module writes them: ``{src: web.conf, dest: /etc/web.conf}``.
    ``output_held``: a process that it left running keeps its output open.
    """

    kind: str
    component: str = ""
    action: str = ""
    name: str = ""
    arguments: str = ""
    command: str = ""
    changed: bool = False
    skipped: bool = False
    exit_code: int | None = None
    stdout: str = ""
    stderr: str = ""
    seconds: float | None = None
    output_held: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What every row has: its status and times (UTC); ``seconds`` is the duration by a monotonic clock."""

    status: Status = "created"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None until both are known; computed from the times if it was not measured."""
        if self.seconds is not None and self.ended_at is not None:
            return self.seconds
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())

    @property
    def is_over(self) -> bool:
        """Whether the row has reached a final status."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, kw_only=True)
class TaskStep(Progress):
    """A step: a leaf on one node, or a group's row with its members in ``steps``.

    ``components`` and ``actions`` are names; ``changed`` is None until the step reports it; ``attempt`` starts at 1;
    ``group_size`` is the number of a group's members, some of which may not take part (0: not in the log);
    ``in_doubt`` marks a step that was running when its worker was lost: its outcome is unknown.
    """

    number: str
    type: str
    node: str = ""
    components: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    reason: str = ""
    changed: bool | None = None
    attempt: int = 1
    last_output: str = ""
    in_doubt: bool = False
    group_size: int = 0
    errors: tuple[StepError, ...] = ()
    results: tuple[OperationResult, ...] = ()
    steps: tuple[TaskStep, ...] = ()

    @property
    def title(self) -> str:
        """The text of the step's row."""
        return self.type

    def leaves(self) -> Iterator[TaskStep]:
        """Yield the leaf steps, in order."""
        if not self.steps:
            yield self
        for step in self.steps:
            yield from step.leaves()


@dataclass(frozen=True, kw_only=True)
class TaskStage(Progress):
    """A top-level part of the task."""

    number: str
    name: str
    steps: tuple[TaskStep, ...] = ()

    @property
    def title(self) -> str:
        """The text of the stage's row."""
        return self.name

    @property
    def row(self) -> Row:
        """The stage's row; for work on a single machine the step itself, which has the stage's number."""
        return self.steps[0] if len(self.steps) == 1 and self.steps[0].number == self.number else self

    def leaves(self) -> Iterator[TaskStep]:
        """Yield the stage's leaves in order."""
        for step in self.steps:
            yield from step.leaves()


Row: TypeAlias = TaskStage | TaskStep


@dataclass(frozen=True, kw_only=True)
class Task(Progress):
    """The whole task. ``number`` is 0 until known; ``errors`` are errors that belong to no step.

    ``next_command`` is the command that resumes it, ``in_doubt`` the numbers of steps with unknown outcome, ``notes``
    the problems of the log, ``last_event_at`` the time of the worker's last event.
    """

    type: str = ""
    service: str = ""
    number: int = 0
    assembly: str = ""
    workflow: str = ""
    target: str = ""
    plan_digest: str = ""
    by: Author = NOBODY
    stages: tuple[TaskStage, ...] = ()
    errors: tuple[StepError, ...] = ()
    next_command: str = ""
    in_doubt: tuple[str, ...] = ()
    cancelled_by: str = ""
    notes: tuple[str, ...] = ()
    last_event_at: datetime | None = None

    @property
    def title(self) -> str:
        """The name in the first row; ``Workflow`` if the log does not say (as in the original)."""
        return self.type or "Workflow"

    def leaves(self) -> Iterator[TaskStep]:
        """Yield every leaf in order."""
        for stage in self.stages:
            yield from stage.leaves()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield every row below the first with its level, in order; stages have level 1."""
        for stage in self.stages:
            yield 1, stage.row
            if stage.row is stage:
                for step in stage.steps:
                    yield from _step_rows(step, 2)


def _step_rows(step: TaskStep, level: int) -> Iterator[tuple[int, Row]]:
    yield level, step
    for member in step.steps:
        yield from _step_rows(member, level + 1)


def exit_code_of(task: Task) -> int:
    """Return the exit code for a task: 1 failed, 6 cancelled, otherwise (also while running) 0."""
    return {"failed": 1, "cancelled": 6}.get(task.status, 0)

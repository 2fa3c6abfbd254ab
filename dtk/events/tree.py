"""A task as its log tells it: the tree of stages and steps that every view shows."""

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
    """Why a step failed: one line, and the command with its exit code and last output where there was one."""

    message: str
    type: ErrorType = "SERVER"
    component: str = ""
    command: str = ""
    exit_code: int | None = None
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class OperationResult:
    """One operation or command of a step, done; ``kind`` is ``operation``, ``run`` or ``add``.

    ``arguments`` are an operation's own, as a module writes them: ``{src: web.conf, dest: /etc/web.conf}``.
    ``output_held``: something that it left running keeps its output open.
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
    """What every row has: its status and when it ran (UTC); ``seconds`` is how long, by a clock that nobody sets."""

    status: Status = "created"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, None until both are known; from the times alone where nobody measured it."""
        if self.seconds is not None and self.ended_at is not None:
            return self.seconds
        if self.started_at is None or self.ended_at is None:
            return None
        return max(0.0, (self.ended_at - self.started_at).total_seconds())

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, kw_only=True)
class TaskStep(Progress):
    """A step: a leaf on one node, or a group's row with its members in ``steps``.

    ``components`` and ``actions`` are names; ``changed`` is None until the step says; ``attempt`` counts from 1;
    ``group_size`` is how many members a group has, of which some may take no part (0: the log does not tell);
    ``in_doubt`` marks a step that ran when its worker was lost: nobody knows what it did.
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
        """What the step's row says."""
        return self.type

    def leaves(self) -> Iterator[TaskStep]:
        """Yield the steps that do something, in order."""
        if not self.steps:
            yield self
        for step in self.steps:
            yield from step.leaves()


@dataclass(frozen=True, kw_only=True)
class TaskStage(Progress):
    """A level-1 part of the task."""

    number: str
    name: str
    steps: tuple[TaskStep, ...] = ()

    @property
    def title(self) -> str:
        """What the stage's row says."""
        return self.name

    @property
    def row(self) -> Row:
        """The stage's row: of work on a single machine the step itself, which carries the stage's number."""
        return self.steps[0] if len(self.steps) == 1 and self.steps[0].number == self.number else self

    def leaves(self) -> Iterator[TaskStep]:
        """Yield the stage's leaves in order."""
        for step in self.steps:
            yield from step.leaves()


Row: TypeAlias = TaskStage | TaskStep


@dataclass(frozen=True, kw_only=True)
class Task(Progress):
    """The whole task. ``number`` is 0 until the log says; ``errors`` are those of no step.

    ``next_command`` is what resumes it, ``in_doubt`` the numbers of the steps nobody knows the outcome of,
    ``notes`` what is wrong with the log, ``last_event_at`` the writer's last sign of life.
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
        """The name in the first row; ``Workflow`` when the log does not say (as the original)."""
        return self.type or "Workflow"

    def leaves(self) -> Iterator[TaskStep]:
        """Yield every leaf in order."""
        for stage in self.stages:
            yield from stage.leaves()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield every row below the first with its level, stages being level 1, in order."""
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
    """Return the exit code that tells how a task ended: 1 failed, 6 cancelled, else (running, too) 0."""
    return {"failed": 1, "cancelled": 6}.get(task.status, 0)

"""Folds events into a task tree, one at a time; the tree is frozen, and only changed parts are rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from dtk.events.closing import close_finished, close_orphan
from dtk.events.event import Event, moment_of
from dtk.events.log_reader import read_events
from dtk.events.planned import event_errors, measured, operation_result, planned_stages, text, texts, whole
from dtk.events.rows import LeafRow, ParentRow
from dtk.events.tree import Status, StepError, Task, TaskStage, TaskStep
from dtk.model.author import author_of


def fold(events: Iterable[Event | None], *, writer_alive: bool = True, notes: Iterable[str] = ()) -> Task:
    """Return the task described by events.

    Args:
        events: a log's events in order; None (nothing new) is skipped.
        writer_alive: whether the log's worker is alive. If not, and ``task.finished`` is missing, the task failed and
            its running steps are in doubt.
        notes: problems found while reading the log; kept in ``Task.notes``.
    """
    folding = Fold()
    for event in events:
        if event is not None:
            folding.feed(event)
    for note in notes:
        folding.note(note)
    return folding.task(writer_alive=writer_alive)


def fold_log(path: Path, *, writer_alive: bool = True) -> Task:
    """Return the task described by a log, folded while reading: memory holds the tree, not the events.

    Args:
        path: the log.
        writer_alive: as for ``fold``.

    Raises:
        OSError: the file can't be read.
    """
    folding = Fold()
    for event in read_events(path, folding.note):
        folding.feed(event)
    return folding.task(writer_alive=writer_alive)


class Fold:
    """The fold's state between events; the cost of an event does not depend on the length of the log.

    Parents' rows are derived from their leaves (``dtk.events.derived_rows``), a stage's from its own events if there
    are any, the task's only from ``task.started`` and ``task.finished``. After ``task.finished`` nothing changes any
    more, and a step that has ended never changes: late events can't rewrite history.
    """

    def __init__(self) -> None:
        self._task = Task()
        self._stages: list[ParentRow] = []
        self._leaves: dict[str, LeafRow] = {}
        self._stage_by_number: dict[str, ParentRow] = {}
        self._notes: dict[str, None] = {}
        self._last_time: object = None
        self._next_command = ""
        self._cache: Task | None = None
        self._handlers: dict[str, Callable[[Event], None]] = {
            "task.planned": self._task_planned,
            "task.started": self._task_started,
            "task.cancelling": self._task_cancelling,
            "task.finished": self._task_finished,
            "stage.started": self._stage_started,
            "stage.finished": self._stage_finished,
            "step.started": self._step_started,
            "step.output": self._step_output,
            "step.heartbeat": self._step_output,
            "step.retrying": self._step_retrying,
            "step.finished": self._step_finished,
            "operation.finished": self._operation_finished,
        }

    def feed(self, event: Event) -> None:
        """Apply one event; unknown types and fields are ignored."""
        # A second writer or a late greenlet must not revive a finished task.
        if self._task.is_over:
            return
        self._cache = None
        self._last_time = event.get("ts")
        kind = event.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            handler(event)

    def note(self, text: str) -> None:
        """Add a problem of the log to ``Task.notes``, once."""
        self._cache = None
        self._notes.setdefault(text)

    def task(self, *, writer_alive: bool = True) -> Task:
        """Return the task after the events so far."""
        if self._cache is None:
            stages = tuple(row for branch in self._stages if isinstance(row := branch.frozen(), TaskStage))
            last_event_at = moment_of(self._last_time)
            task = replace(self._task, stages=stages, notes=tuple(self._notes), last_event_at=last_event_at)
            self._cache = close_finished(task) if task.is_over else task
        if self._cache.is_over or writer_alive:
            return self._cache
        return close_orphan(self._cache, self._next_command)

    def _task_planned(self, event: Event) -> None:
        # The first plan is the one that runs; the numbers of a second one would mean other steps.
        if self._stages:
            return
        self._next_command = text(event, "next_command")
        self._task = replace(
            self._task,
            type=text(event, "task_type"),
            service=text(event, "service"),
            number=whole(event, "task") or 0,
            assembly=text(event, "assembly"),
            workflow=text(event, "workflow"),
            target=text(event, "target"),
            plan_digest=text(event, "plan_digest"),
            by=author_of(event.get("by")),
        )
        for stage in planned_stages(event):
            branch = ParentRow(stage, None)
            self._stages.append(branch)
            self._stage_by_number.setdefault(stage.number, branch)
            branch.children.extend(self._grow(step, branch) for step in stage.steps)

    def _grow(self, step: TaskStep, parent: ParentRow) -> ParentRow | LeafRow:
        if step.steps:
            branch = ParentRow(step, parent)
            branch.children.extend(self._grow(member, branch) for member in step.steps)
            return branch
        leaf = LeafRow(step, parent)
        self._leaves.setdefault(step.number, leaf)
        return leaf

    def _task_started(self, event: Event) -> None:
        self._task = replace(self._task, status="executing", started_at=moment_of(event.get("ts")))

    def _task_cancelling(self, event: Event) -> None:
        self._task = replace(self._task, cancelled_by=text(event, "by"))

    def _task_finished(self, event: Event) -> None:
        status = _final_status(event)
        failed_somewhere = any(leaf.step.errors or leaf.step.status == "executing" for leaf in self._leaves.values())
        # Show a failure without a failed step (a full disk, a refused state) with the task itself.
        unexplained = status == "failed" and not failed_somewhere
        self._task = replace(
            self._task,
            status=status,
            ended_at=_end(event),
            seconds=measured(event),
            next_command=text(event, "next_command"),
            in_doubt=texts(event, "in_doubt"),
            errors=event_errors(event) or ((StepError(text(event, "message")),) if unexplained else ()),
        )

    def _stage_started(self, event: Event) -> None:
        if branch := self._stage(event):
            branch.become(replace(branch.row, started_at=moment_of(event.get("ts"))))

    def _stage_finished(self, event: Event) -> None:
        if branch := self._stage(event):
            branch.become(
                replace(branch.row, status=_final_status(event), ended_at=_end(event), seconds=measured(event))
            )

    def _step_started(self, event: Event) -> None:
        leaf = self._leaf(event)
        # A started step keeps its first start time, and a step that has ended stays ended.
        if leaf and leaf.step.status == "created":
            leaf.become(replace(leaf.step, status="executing", started_at=moment_of(event.get("ts"))))

    def _step_output(self, event: Event) -> None:
        if leaf := self._leaf(event):
            lines = event.get("lines")
            # Most events of a log are these, so nothing is made of their lines.
            for line in (event.get("last_line"), *(reversed(lines) if isinstance(lines, list) else ())):
                if isinstance(line, str) and line.strip():
                    leaf.add_output(line)
                    return

    def _step_retrying(self, event: Event) -> None:
        if leaf := self._leaf(event):
            leaf.become(replace(leaf.step, attempt=whole(event, "attempt") or leaf.step.attempt))

    def _step_finished(self, event: Event) -> None:
        leaf = self._leaf(event)
        if leaf is None or leaf.step.is_over:
            return
        changed = event.get("changed")
        leaf.become(
            replace(
                leaf.step,
                status=_final_status(event),
                started_at=leaf.step.started_at or moment_of(event.get("ts")),
                ended_at=_end(event),
                seconds=measured(event),
                changed=changed if isinstance(changed, bool) else None,
                errors=event_errors(event),
                in_doubt=event.get("in_doubt") is True,
            )
        )

    def _operation_finished(self, event: Event) -> None:
        if leaf := self._leaf(event):
            leaf.add(operation_result(event))

    def _leaf(self, event: Event) -> LeafRow | None:
        number = text(event, "step")
        leaf = self._leaves.get(number)
        if leaf is None:
            self.note(f"step {number!r} is not in the log's plan; its events are ignored")
        return leaf

    def _stage(self, event: Event) -> ParentRow | None:
        number = text(event, "stage")
        branch = self._stage_by_number.get(number)
        if branch is None:
            self.note(f"stage {number!r} is not in the log's plan; its events are ignored")
        return branch


def _final_status(event: Event) -> Status:
    """Return the status in a finishing event; anything unknown counts as failed, never as succeeded."""
    status = event.get("status")
    return "succeeded" if status == "succeeded" else "cancelled" if status == "cancelled" else "failed"


def _end(event: Event) -> datetime | None:
    """Return the end time in a finishing event: ``ended_at`` if it was written later, else its own time."""
    return moment_of(event.get("ended_at")) or moment_of(event.get("ts"))

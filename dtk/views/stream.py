"""The stream: a task shown stage by stage, while it runs or afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from dtk.events.event import Event
from dtk.events.fold import Fold
from dtk.events.planned import operation_result, text, texts, whole
from dtk.events.tree import Task, TaskStage
from dtk.views.formatting import duration_text, harmless, one_line, stream_time
from dtk.views.operation_text import commands_of, operation_call
from dtk.views.step_errors import error_text
from dtk.views.stream_blocks import stage_ending, stage_heading

BRACKET = "=" * 25
_TELLING = ("task.started", "stage.started", "stage.finished", "task.finished")
"""The only events that can begin or end a part of the stream."""


@dataclass(frozen=True)
class StageFrame:
    """The text before and after a stage's block, for logs with collapsible sections."""

    start: Callable[[TaskStage], str]
    end: Callable[[TaskStage], str]


def stream(
    events: Iterable[Event | None],
    *,
    fold: Fold | None = None,
    output: bool = False,
    commands: bool = False,
    frame: StageFrame | None = None,
    progress: Callable[[Event | None], Iterable[str]] | None = None,
) -> Iterator[str]:
    """Yield the stream's text piece by piece, each ending with a newline, as soon as it is known.

    Source: the original's ``task_status/stream_mode``, to the character, with one difference: the last line says
    ``Status: OK`` only for a task that succeeded; the original also printed it for failed ones.

    Args:
        events: a log's events, replayed (``read_log``) or live (``follow``); None is ignored. If they end without
            ``task.finished``, the worker is dead, and the task is shown as failed.
        fold: receives the events, for callers that need the task afterwards (``fold.task(writer_alive=False)``).
        output: whether to include the output of running steps as it arrives (``--output``): ``NODE | line``, or
            ``NODE ! line`` for errors.
        commands: whether to include each operation and command as it ends (``-vv``):
            ``NODE > RUN: … (syscall), RETURN CODE 0``.
        frame: the text before and after each stage's block.
        progress: called with every event, and with None if nothing is new; returns additional text.
    """
    folding = fold or Fold()
    telling = _Telling(frame)
    for event in events:
        if event is not None:
            folding.feed(event)
            if output and event.get("type") == "step.output":
                yield _output(event)
            if commands and event.get("type") == "operation.finished":
                yield _ran(event)
            if event.get("type") in _TELLING:
                yield from telling.advance(folding.task())
        if progress is not None:
            yield from progress(event)
    task = folding.task(writer_alive=False)
    yield from telling.advance(task)
    yield from telling.end(task)


class _Telling:
    """The progress of the stream through the task."""

    def __init__(self, frame: StageFrame | None) -> None:
        self._frame = frame
        self._begun = False
        self._open = False
        self._position = 0

    def advance(self, task: Task) -> Iterator[str]:
        """Yield what can be shown now and was not shown before."""
        if not self._begun and (task.started_at or task.is_over):
            self._begun = True
            time = f"{stream_time(task.started_at)} " if task.started_at else ""
            yield f"{BRACKET} {time}start '{one_line(task.title)}' {BRACKET}\n\n\n"
        while self._position < len(task.stages) and self._tells(task):
            stage = task.stages[self._position]
            if not self._open and stage.status != "created":
                self._open = True
                if self._frame is not None:
                    yield self._frame.start(stage)
                yield _text(stage_heading(stage))
            if self._open and not self._has_ended(task, stage):
                return
            if self._open:
                yield _text(stage_ending(stage))
                if self._frame is not None:
                    yield self._frame.end(stage)
            self._open = False
            self._position += 1

    def _tells(self, task: Task) -> bool:
        """Return whether the next stage can be shown: it has begun, or was skipped."""
        return task.stages[self._position].status != "created" or self._is_passed(task)

    def end(self, task: Task) -> Iterator[str]:
        """Yield the closing lines."""
        total = f" (total duration: {duration_text(task.duration)})" if task.duration is not None else ""
        lines = [f"{BRACKET} end: '{one_line(task.title)}'{total} {BRACKET}"]
        lines += [f"ERROR: {error_text(error)}" for error in task.errors]
        lines += [f"INFO: log: {one_line(note)}" for note in task.notes]
        if task.next_command:
            lines.append(f"To resume: {task.next_command}")
        lines.append(f"Status: {'OK' if task.status == 'succeeded' else task.status.upper()}")
        yield _text(lines)

    def _has_ended(self, task: Task, stage: TaskStage) -> bool:
        """Return whether the stage is over: it has ended, or the task went on or ended."""
        return stage.ended_at is not None or task.is_over or self._is_passed(task)

    def _is_passed(self, task: Task) -> bool:
        """Return whether a later stage has begun."""
        return any(stage.status != "created" for stage in task.stages[self._position + 1 :])


def _output(event: Event) -> str:
    sign = "!" if event.get("stream") == "stderr" else "|"
    lines = [*texts(event, "lines")]
    if left_out := whole(event, "truncated"):
        lines.append(f"... {left_out} lines left out")
    node = one_line(text(event, "node"))
    return _text([f"{node} {sign} {harmless(line)}" for line in lines])


def _ran(event: Event) -> str:
    result = operation_result(event)
    outcome = "skipped" if result.skipped else "changed" if result.changed else "unchanged"
    code = "" if result.exit_code is None else f", RETURN CODE {result.exit_code}"
    time = "" if result.seconds is None else f", {duration_text(result.seconds)}"
    lines = f"{operation_call(result)}: {outcome}{code}{time}".split("\n")
    lines += [f"  {line}" for line in commands_of(result).splitlines()]
    return _text([f"{one_line(text(event, 'node'))} > {line}" for line in lines])


def _text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)

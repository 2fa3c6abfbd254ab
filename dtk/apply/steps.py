"""Runs one step and records its start and its end, whatever happens in between."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dtk.apply.items.action import run_action
from dtk.apply.nodes.first_contact import meet_node
from dtk.apply.nodes.membership import out_of_service
from dtk.apply.reporting.failure import ErrorType, StepStopped, error_fields
from dtk.apply.reporting.redacted_log import RecordError
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError, refused_by_machine
from dtk.model.json_data import JsonObject
from dtk.model.names import ASSEMBLY_WIDE, CREATE
from dtk.model.plan import Step
from dtk.model.planned_action import PlannedAction

StepWork = Callable[[Step, StepReporter], bool]
"""The work of a step; returns whether it changed anything, raises an error on failure."""


@dataclass(frozen=True)
class _Ending:
    """The end of a step: its status, whether it changed anything, the ``error`` of its last event."""

    status: str
    changed: bool = False
    error: JsonObject | None = None


class _ActionFailedError(Exception):
    """An action of a step failed; ``fields`` is the ``error`` of the event."""

    def __init__(self, fields: JsonObject) -> None:
        super().__init__(str(fields["message"]))
        self.fields = fields


def run_step(context: TaskContext, step: Step, work: StepWork) -> str:
    """Run one step.

    Args:
        context: the task.
        step: a leaf.
        work: the work of the step.

    Returns:
        Its status: ``succeeded``, ``failed`` or ``cancelled``.
    """
    # The task began to stop while the step waited for its turn: a step that never began writes no events.
    if context.may_not_start():
        return context.stopping.reason
    reporter = StepReporter(context.journal, step)
    with context.stopping.step(step.number):
        ending = _observed(context, step, work, reporter)
    in_doubt = ending.status != "succeeded" and _is_in_doubt(context, step)
    if in_doubt:
        context.in_doubt.append(step.number)
    reporter.finished(ending.status, changed=ending.changed, error=ending.error, in_doubt=in_doubt)
    return ending.status


def _is_in_doubt(context: TaskContext, step: Step) -> bool:
    session = context.sessions.get(step.node)
    return session is not None and session.is_in_doubt


def _observed(context: TaskContext, step: Step, work: StepWork, reporter: StepReporter) -> _Ending:
    """Do a step's work; return how it ended."""
    try:
        return _worked(context, step, work, reporter)
    except StepStopped:
        return _stopped(context, step)


def _worked(context: TaskContext, step: Step, work: StepWork, reporter: StepReporter) -> _Ending:
    try:
        reporter.started()
        return _Ending("succeeded", changed=work(step, reporter))
    except _ActionFailedError as failed:
        fields, problem = failed.fields, _end_orphaned_command(context, step)
    except RecordError as record_error:
        fields, problem = error_fields(record_error), _end_processes(context, step)
    except Exception as failure:
        fields, problem = _failure(context, failure), _end_orphaned_command(context, step)
    return _Ending("failed", error=_with_problem(fields, problem))


def _stopped(context: TaskContext, step: Step) -> _Ending:
    problem = _end_processes(context, step)
    if context.stopping.reason == "cancelled":
        return _Ending("cancelled", error=error_fields(DtkError(problem)) if problem else None)
    why = context.stopping.why or context.journal.broken
    return _Ending("failed", error=_with_problem(error_fields(RecordError(why)), problem))


def _end_processes(context: TaskContext, step: Step) -> str:
    """End the step's processes on its node; return why this is uncertain, "" on success."""
    session = context.sessions.get(step.node)
    return session.end_step_processes() if session else ""


def _end_orphaned_command(context: TaskContext, step: Step) -> str:
    """End the command that was running when the step lost its connection; return the same as ``_end_processes``."""
    session = context.sessions.get(step.node)
    return session.end_running_command() if session else ""


def _with_problem(fields: JsonObject, problem: str) -> JsonObject:
    return {**fields, "message": f"{fields['message']}; {problem}"} if problem else fields


def _failure(context: TaskContext, error: Exception, component: str = "", kind: ErrorType = "USER") -> JsonObject:
    error = refused_by_machine(error) or error
    if not isinstance(error, DtkError):
        # A bug in dtk: its traceback belongs in worker.log, redacted, and not on the user's screen.
        sys.stderr.write(context.redactor.text("".join(traceback.format_exception(error))))
    return error_fields(error, component, kind)


def run_actions(context: TaskContext, step: Step, reporter: StepReporter) -> bool:
    """Run the component actions of a step, in order.

    Returns:
        Whether any of them changed anything.
    """
    with out_of_service(context, step, reporter):
        return _run_actions(context, step, reporter)


def _run_actions(context: TaskContext, step: Step, reporter: StepReporter) -> bool:
    if step.node != ASSEMBLY_WIDE:
        first_contact = partial(meet_node, context, step.node, reporter)
        context.session(step.node).begin_step(reporter, context.step_mark(step.number), first_contact)
    changed = False
    for action in step.actions:
        try:
            changed |= run_action(context, action, reporter)
        # on_failure: continue applies to the module's work; without a log, nothing more may be done at all.
        except RecordError:
            raise
        except Exception as error:
            fields = _failure(context, error, action.component, _kind(action))
            if action.on_failure != "continue":
                raise _ActionFailedError(fields) from None
            reporter.waiting(f"{fields['message']} (the step continues: on_failure is continue)")
    return changed


def _kind(action: PlannedAction) -> ErrorType:
    """Return the error type: tests are distinguished from components, as in the original's errors section."""
    return "TEST" if action.action != CREATE and "test" in action.action else "USER"

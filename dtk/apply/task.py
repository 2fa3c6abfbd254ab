"""Runs a task: its stages in order; records its start and its end in the log and in the state."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent

from dtk.apply.nodes.firewall import update_firewall
from dtk.apply.nodes.orphan_processes import resolve_in_doubt
from dtk.apply.reporting.failure import error_fields
from dtk.apply.reporting.planned_event import next_command
from dtk.apply.reporting.redacted_log import RecordError
from dtk.apply.session.task_context import TaskContext
from dtk.apply.stages import run_stage
from dtk.errors import DtkError
from dtk.model.plan import ENDING_STEPS
from dtk.state import changes

EXIT_CODES = {"succeeded": 0, "failed": 1, "cancelled": 6}


def run_task(context: TaskContext) -> str:
    """Run all stages of a task whose ``task.planned`` event is written.

    Returns:
        Its status: ``succeeded``, ``failed`` or ``cancelled``.
    """
    status, failure = "failed", None
    try:
        context.journal.append("task.started", f"task {context.number} started", pid=os.getpid())
        context.await_commit()
        status = _run_stages(context)
        if status == "succeeded" and context.plan.workflow:
            resolve_in_doubt(context)
            context.change_state(changes.with_task_succeeded)
    except DtkError as error:
        status, failure = "failed", error
    context.stopping.outcome = status
    # Other clones see only what is in the store: a task whose service was taken over did not succeed.
    context.settle()
    if context.stopping.why:
        status, failure = "failed", DtkError(context.stopping.why)
    finish(context, status, failure)
    return status


def _run_stages(context: TaskContext) -> str:
    update_firewall(context)
    with context.engine.running():
        for stage in context.plan.stages:
            if context.stopping.reason:
                return context.stopping.reason
            status = run_stage(context, stage)
            # Between stages nothing runs: the snapshot is written once, not while steps append to the journal.
            context.write_snapshot()
            if status != "succeeded":
                return status
    if _has_rest(context):
        context.await_commit()
        if context.stopping.reason:
            return context.stopping.reason
        _clean_up(context)
    # Also if it was cancelled too late: everything is done.
    return "succeeded"


def _has_rest(context: TaskContext) -> bool:
    """Return whether the service's other resources are to be removed, now that its last machine is gone."""
    ends = any(leaf.type in ENDING_STEPS for leaf in context.plan.leaves())
    # A service without any task yet has nothing to remove, and its target may be unreachable.
    retries = context.plan.destroys and context.number > 1
    return (ends or retries or context.plan.deletes_volumes) and not context.store.state.nodes


def _clean_up(context: TaskContext) -> None:
    """Remove the service's other resources; a later destroy retries what fails.

    Raises:
        DtkError: something could not be removed.
    """
    problems = list(_problems_of_removal(context))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
        raise DtkError("; ".join(problem.message for problem in problems), hint="; ".join(hints))


def _problems_of_removal(context: TaskContext) -> Iterator[DtkError]:
    provider, identity, plan = context.provider, context.identity, context.plan
    removals: list[Callable[[], object]] = []
    if plan.deletes_volumes:
        removals.append(lambda: provider.delete_volumes(identity, plan.volumes))
    removals.append(lambda: provider.clean_up(identity, lambda: not context.stopping.reason))
    for remove in removals:
        try:
            remove()
        except DtkError as error:
            yield error
    if plan.ends_service:
        try:
            yield from provider.release(identity).values()
        except DtkError as error:
            yield error


def finish(context: TaskContext, status: str, failure: DtkError | None = None) -> None:
    """Write the task's end to the log; nothing happens after it."""
    left = _end_orphaned_commands(context) if status == "cancelled" else []
    for node in list(context.sessions):
        # A connection that can't be closed properly is lost anyway; the task's end must be recorded whatever
        # happens.
        with suppress(Exception):
            context.drop_session(node)
    context.connections.end()
    with suppress(OSError):  # the state's journal has every change that the snapshot lacks
        context.store.write_snapshot()
    broken = RecordError(context.journal.broken) if context.journal.broken else failure
    service = context.plan.service
    fields: dict[str, Any] = {"error": error_fields(broken)} if broken and status == "failed" else {}
    if status != "succeeded":
        fields["next_command"] = next_command(context.plan)
        fields |= {"in_doubt": context.in_doubt} if context.in_doubt else {}
    message = fields["error"]["message"] if "error" in fields else f"task {context.number} of '{service}' {status}"
    message = "; ".join([message, *left])
    context.journal.append("task.finished", message, status=status, seconds=context.seconds, **fields)


def _end_orphaned_commands(context: TaskContext) -> list[str]:
    """End commands that steps with lost connections left running; return the problems."""
    left = [session for session in context.sessions.values() if session.has_orphaned_command]
    endings = [gevent.spawn(session.end_running_command) for session in left]
    gevent.joinall(endings)
    return [ending.value for ending in endings if ending.value]


def abandon(context: TaskContext) -> str:
    """Record that a task ends at once; what its running steps did on their nodes is unknown.

    Returns:
        Its status: ``cancelled``, or what its stages came to if only their upload to the store was left.
    """
    message = f"task {context.number} of '{context.plan.service}' was stopped at once"
    status = context.stopping.outcome or "cancelled"
    fields: dict[str, Any] = {}
    if status != "succeeded":
        in_doubt = dict.fromkeys([*context.in_doubt, *context.stopping.running_steps])
        fields = {"next_command": next_command(context.plan), "in_doubt": list(in_doubt)}
    context.journal.append("task.finished", message, status=status, seconds=context.seconds, **fields)
    return status

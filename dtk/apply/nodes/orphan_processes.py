"""Ends processes of earlier tasks on a node before this task does anything there."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import gevent

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.ssh.remote_kill import Older
from dtk.state import changes

_RESOLVE_SECONDS = 30.0
"""How long a succeeded task waits for nodes on which it had no steps, in seconds; the rest stays in doubt."""


def end_leftovers(context: TaskContext, node: str, reporter: StepReporter | None) -> None:
    """End what earlier tasks still run on a node: their steps in doubt, and every unfinished command.

    Unfinished commands are found without a record, even if the log of their task is lost.

    Raises:
        DtkError: a process may still run, so that nothing else may be done on the node.
    """
    steps = context.store.state.in_doubt.get(node, ())
    for step in steps:
        task, _, number = step.partition("-")
        if reporter is not None:
            reporter.waiting(f"ending the processes of step {number} of task {task}")
    problem = context.session(node).end_earlier([context.mark(step) for step in steps], older_tasks(context))
    if problem:
        of = " and ".join(f"step {number} of task {task}" for task, _, number in (s.partition("-") for s in steps))
        raise DtkError(
            f"{of or 'an earlier task'} is in doubt: {problem}", hint=f"see: dtk ssh {context.plan.service} {node}"
        )
    if steps:
        context.change_state(lambda state: changes.without_in_doubt(state, node))


def older_tasks(context: TaskContext) -> Older:
    """Return which tasks may have left something on a node on which this one has not run anything yet."""
    # Without a store, each clone numbers its tasks from 1, so a lower number does not mean an earlier task.
    return Older(context.lineage_shown, None if context.link is None else context.number)


def resolve_in_doubt(context: TaskContext) -> None:
    """End what earlier tasks may still run on nodes on which this one had no steps; the rest stays in doubt.

    A worker may be killed after a step's success is stored in the state, but before the step's end is recorded.
    """
    nodes = [node for node in context.store.state.in_doubt if context.store.state.nodes[node].status == "running"]
    meetings = [gevent.spawn(_contact, context, node) for node in nodes]
    gevent.joinall(meetings, timeout=_RESOLVE_SECONDS)
    gevent.killall(meetings)


def _contact(context: TaskContext, node: str) -> None:
    session = context.session(node)
    session.begin_step(None, context.step_mark("0"), partial(end_leftovers, context, node, None))
    with suppress(DtkError):
        session.connect()

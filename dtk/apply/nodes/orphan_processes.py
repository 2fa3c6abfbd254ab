"""Ends on a node what earlier tasks still run there, before this one does anything there."""

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
"""How long a task that has succeeded waits for nodes that it had nothing to do on; what is left stays in doubt."""


def end_leftovers(context: TaskContext, node: str, reporter: StepReporter | None) -> None:
    """End what earlier tasks still run on a node: their steps in doubt, and each command that has not ended.

    The second needs no record: it also finds what the log of a task that is lost would have told.

    Raises:
        DtkError: something may still run, and so nothing else may be done on the node.
    """
    steps = context.store.state.in_doubt.get(node, ())
    for step in steps:
        task, _, number = step.partition("-")
        if reporter is not None:
            reporter.waiting(f"ending what step {number} of task {task} left running")
    # Each clone without a store counts its tasks from 1: a lower number is not an earlier task there. This one has not
    # run anything on the node yet.
    older = Older(context.lineage_shown, None if context.link is None else context.number)
    problem = context.session(node).end_earlier([context.mark(step) for step in steps], older)
    if problem:
        of = " and ".join(f"step {number} of task {task}" for task, _, number in (s.partition("-") for s in steps))
        raise DtkError(
            f"{of or 'an earlier task'} is in doubt: {problem}", hint=f"see: dtk ssh {context.plan.service} {node}"
        )
    if steps:
        context.change_state(lambda state: changes.without_in_doubt(state, node))


def resolve_in_doubt(context: TaskContext) -> None:
    """End what earlier tasks may still run on nodes on which this one had nothing to do; keep in doubt what can't be.

    A worker may be killed between a step's success, which is noted in the state, and the step's end on record.
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

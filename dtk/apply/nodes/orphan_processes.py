"""Ends on a node what earlier tasks still run there, before this one does anything there."""

from __future__ import annotations

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.ssh.remote_kill import Older
from dtk.state import changes


def end_leftovers(context: TaskContext, node: str, reporter: StepReporter) -> None:
    """End what earlier tasks still run on a node: their steps in doubt, and each command that has not ended.

    The second needs no record: it also finds what the log of a task that is lost would have told.

    Raises:
        DtkError: something may still run, and so nothing else may be done on the node.
    """
    steps = context.store.state.in_doubt.get(node, ())
    for step in steps:
        task, _, number = step.partition("-")
        reporter.waiting(f"ending what step {number} of task {task} left running")
    older = Older(context.lineage_shown, context.number)
    problem = context.session(node).end_earlier([context.mark(step) for step in steps], older)
    if problem:
        of = " and ".join(f"step {number} of task {task}" for task, _, number in (s.partition("-") for s in steps))
        raise DtkError(
            f"{of or 'an earlier task'} is in doubt: {problem}", hint=f"see: dtk ssh {context.plan.service} {node}"
        )
    if steps:
        context.change_state(lambda state: changes.without_in_doubt(state, node))

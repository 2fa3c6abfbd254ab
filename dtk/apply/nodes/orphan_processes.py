"""Ends on a node what earlier tasks still run there, before this one does anything there."""

from __future__ import annotations

from collections import defaultdict

from dtk.apply.nodes.machines import CHANGES
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.events.fold import fold
from dtk.events.reading import read_log
from dtk.model.names import ASSEMBLY_WIDE
from dtk.ssh.remote_kill import Older
from dtk.state import changes


def steps_in_doubt(context: TaskContext) -> dict[str, list[str]]:
    """Return the steps of earlier tasks that nobody saw end: ``{"slaves:2": ["3-3.1.2"]}``, by node.

    A worker that was killed leaves its commands running on the nodes: sshd does not end what has no terminal. A task
    takes over the doubt in one change of the state with its own beginning; so the tasks before the last one that began
    need not be read again, and those after it that died before they began are read with it.
    """
    begun = context.store.state.last_task
    numbers = context.workspace.task_numbers(context.plan.service)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number in (number for number in numbers if begun <= number < context.number):
        log = context.workspace.event_log(context.plan.service, number)
        # This task holds the lock: the workers of all others are gone.
        task = fold(read_log(log).events, writer_alive=False) if log.exists() else None
        for leaf in task.leaves() if task else ():
            # What was asked of the target, its provider finds out; on the node it runs nothing.
            if leaf.in_doubt and leaf.node != ASSEMBLY_WIDE and leaf.type not in CHANGES:
                found[leaf.node].append(f"{number}-{leaf.number}")
    return dict(found)


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

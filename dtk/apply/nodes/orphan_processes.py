"""Ends on a node what the steps of a worker that is gone still run there, before another task does anything there."""

from __future__ import annotations

from collections import defaultdict

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.events.fold import fold
from dtk.events.reading import read_log
from dtk.model.names import ASSEMBLY_WIDE
from dtk.state import changes


def steps_in_doubt(context: TaskContext) -> dict[str, list[str]]:
    """Return the steps of the task before this one that nobody saw end: ``{"slaves:2": ["3-3.1.2"]}``, by node.

    A worker that was killed leaves its commands running on the nodes: sshd does not end what has no terminal.
    """
    earlier = [number for number in context.workspace.task_numbers(context.plan.service) if number < context.number]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for number in earlier[-1:]:
        log = context.workspace.event_log(context.plan.service, number)
        task = fold(read_log(log).events) if log.exists() else None
        for leaf in task.leaves() if task else ():
            if leaf.in_doubt and leaf.node != ASSEMBLY_WIDE:
                found[leaf.node].append(f"{number}-{leaf.number}")
    return dict(found)


def end_leftovers(context: TaskContext, node: str, reporter: StepReporter) -> None:
    """End the processes of earlier steps in doubt on a node, once; the node's session has begun a step.

    Raises:
        DtkError: they may still run, and so nothing else may be done on the node.
    """
    steps = context.store.state.in_doubt.get(node, ())
    for step in steps:
        task, _, number = step.partition("-")
        reporter.waiting(f"ending what step {number} of task {task} left running")
        problem = context.session(node).end_earlier_step(context.mark(step))
        if problem:
            raise DtkError(
                f"step {number} of task {task} is in doubt: {problem}",
                hint=f"see: dtk ssh {context.plan.service} {node}",
            )
    if steps:
        context.change_state(lambda state: changes.without_in_doubt(state, node))

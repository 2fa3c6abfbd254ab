"""What a task does on a node before anything else, once: it ends what earlier tasks left, and lets the team in."""

from __future__ import annotations

from dtk.apply.nodes.orphan_processes import end_leftovers
from dtk.apply.nodes.team_keys import put_team_keys
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext


def meet_node(context: TaskContext, node: str, reporter: StepReporter) -> None:
    """Make a node ready for a task.

    Raises:
        DtkError: something may still run there, or the team's keys can't be put there.
    """
    end_leftovers(context, node, reporter)
    if context.team_keys is not None:
        session = context.session(node)
        put_team_keys(session, context.team_keys, session.next_mark(as_root=False))

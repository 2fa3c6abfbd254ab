"""A task's first contact with a node: ends leftovers of earlier tasks and installs the team's keys, once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from dtk.apply.nodes.orphan_processes import end_leftovers, older_tasks
from dtk.apply.nodes.team_keys import put_team_keys
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.node_session import Leftovers
from dtk.apply.session.task_context import TaskContext
from dtk.nodes.records import HOST_KEY, record_of
from dtk.state.changes import with_node


def meet_node(context: TaskContext, node: str, reporter: StepReporter) -> None:
    """Prepare a node for a task.

    Raises:
        DtkError: a process of an earlier task may still run there, or the team's keys can't be installed.
    """
    _note_host_key(context, node)
    session = context.session(node)
    if node in context.store.state.in_doubt:
        end_leftovers(context, node, reporter)
    else:
        end = partial(end_leftovers, context, node, reporter)
        session.look_for_leftovers(Leftovers(older_tasks(context), end))
    if context.team_keys is not None:
        put_team_keys(session, context.team_keys, session.next_mark(as_root=False))


def _note_host_key(context: TaskContext, node: str) -> None:
    """Record a machine's present host key for other clones, in case the earlier one was removed from known_hosts."""
    known = context.store.state.nodes.get(node)
    if known is None:
        return
    key = context.pinned_key(record_of(node, known))
    if key and known.attributes.get(HOST_KEY) != key:
        changed = replace(known, attributes={**known.attributes, HOST_KEY: key})
        context.change_state(lambda state: with_node(state, node, changed))

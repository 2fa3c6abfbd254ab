"""Puts a task's beginning into the state, and what earlier tasks left in doubt, in one change."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from dtk.errors import DtkError
from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.events.tree import Task
from dtk.model.names import ASSEMBLY_WIDE
from dtk.model.plan import Plan
from dtk.state import changes
from dtk.state.model import State, Unfinished
from dtk.state.store import StateStore
from dtk.state.workspace import Workspace

ON_NODES = ("configure_node", "action")
"""The steps that run commands on nodes. What was asked of the target, its provider finds out."""


def begin_task(workspace: Workspace, plan: Plan, number: int, state: State) -> None:
    """Note in the state that a task runs, before anything is on record of it: from then on it can be resumed.

    Args:
        workspace: the workspace; the service's lock is held.
        plan: what the task does.
        number: the task's number.
        state: the present state, the first one where there is none on disk.

    Raises:
        DtkError: the state can't be written.
    """
    in_doubt = _steps_in_doubt(workspace, plan.service, state.last_task, number)
    store = StateStore(workspace.state_file(plan.service), state)
    try:
        store.change(lambda now: changes.with_in_doubt(now, in_doubt), lambda now: with_task_begun(plan, number, now))
    except OSError as error:
        reason = error.strerror or error
        raise DtkError(f"the state of '{plan.service}' cannot be written: {reason}; nothing was changed") from error


def with_task_begun(plan: Plan, number: int, state: State) -> State:
    """Return the state in which a plan's task, with this number, has begun."""
    if not plan.workflow:
        # Powering nodes on or off leaves what an earlier task has not finished to be finished.
        return replace(state, last_task=number)
    begun = Unfinished(
        number,
        plan.workflow,
        {},
        plan.parameters,
        plan.only,
        plan.exclude,
        replaces=plan.replaces,
        forced=plan.forced,
    )
    return changes.with_task_begun(state, begun, resumes=bool(plan.resumes))


def _steps_in_doubt(workspace: Workspace, service: str, last: int, number: int) -> dict[str, list[str]]:
    """Return the steps of earlier tasks that nobody saw end: ``{"slaves:2": ["3-3.1.2"]}``, by node.

    A worker that was killed leaves its commands running on the nodes: sshd does not end what has no terminal. A task
    takes over the doubt of those before it with its beginning, so that only the last one that began is read, and
    those after it that died before they began.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for earlier in (one for one in workspace.task_numbers(service) if last <= one < number):
        log = workspace.event_log(service, earlier)
        # The lock is held: the workers of all others are gone.
        task = fold(read_log(log).events, writer_alive=False) if log.exists() else None
        for node, steps in steps_in_doubt(task, earlier).items() if task else ():
            found[node] += steps
    return dict(found)


def steps_in_doubt(task: Task, number: int) -> dict[str, list[str]]:
    """Return the steps of one task, whose worker is gone, that nobody saw end: ``{"slaves:2": ["3-3.1.2"]}``."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for leaf in task.leaves():
        if leaf.in_doubt and leaf.node != ASSEMBLY_WIDE and leaf.type in ON_NODES:
            found[leaf.node].append(f"{number}-{leaf.number}")
    return dict(found)

"""Records the start of a task in the state, with the steps that earlier tasks left in doubt, as one change."""

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
from dtk.state.workspace import Workspace
from dtk.state.writer import StateStore

ON_NODES = ("configure_node", "action")
"""The steps that run commands on nodes. The provider itself finds out what became of calls to the target."""


def begin_task(workspace: Workspace, plan: Plan, number: int, state: State) -> None:
    """Record in the state that a task runs, before its first event: from then on it can be resumed.

    Args:
        workspace: the workspace; the caller holds the service's lock.
        plan: the task's plan.
        number: the task's number.
        state: the present state; the initial one if there is none on disk.

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
    """Return the state after the start of a plan's task with this number."""
    if not plan.workflow:
        # Powering nodes on or off does not complete or replace the unfinished work of an earlier task.
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
    """Return the steps of earlier tasks without a known end, by node: ``{"slaves:2": ["3-3.1.2"]}``.

    When a worker is killed, its commands continue on the nodes: sshd does not end a process without a terminal. A task
    takes over the steps in doubt of earlier tasks when it begins. Therefore only the last task that began is read, and
    the later ones that died before they began.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for earlier in (one for one in workspace.task_numbers(service) if last <= one < number):
        log = workspace.event_log(service, earlier)
        # The lock is held, so no worker of another task runs.
        task = fold(read_log(log).events, writer_alive=False) if log.exists() else None
        for node, steps in steps_in_doubt(task, earlier).items() if task else ():
            found[node] += steps
    return dict(found)


def steps_in_doubt(task: Task, number: int) -> dict[str, list[str]]:
    """Return the steps of a dead task whose end is unknown, by node: ``{"slaves:2": ["3-3.1.2"]}``."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for leaf in task.leaves():
        if leaf.in_doubt and leaf.node != ASSEMBLY_WIDE and leaf.type in ON_NODES:
            found[leaf.node].append(f"{number}-{leaf.number}")
    return dict(found)

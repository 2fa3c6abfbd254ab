"""Starts a task's worker as an independent process."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dtk.apply.beginning import begin_task
from dtk.apply.reporting.planned_event import write_planned
from dtk.apply.task_folder import WORKER_LOG, make_task_folder
from dtk.apply.worker_ahead import WorkerAhead, spawn
from dtk.disk.files import PRIVATE_FILE
from dtk.errors import StalePlanError
from dtk.events.log import EventLog
from dtk.events.recovery import close_orphaned_log
from dtk.model.executor import Executor
from dtk.model.plan import Plan
from dtk.plan.document import to_text
from dtk.ssh.passphrases import known_as_pipe
from dtk.ssh.shards.dask.ready import ready
from dtk.state.lock import Holder, ServiceLock, this_process
from dtk.state.model import State
from dtk.state.store import load_state, new_state, save_state
from dtk.state.workspace import Workspace
from dtk.store.holding import HeldService
from dtk.store.link import pair
from dtk.store.shipping import start_shipper


@dataclass(frozen=True)
class StartedTask:
    """A task with a running worker. ``process`` allows the starting process to wait for its exit code."""

    number: int
    folder: Path
    pid: int
    process: subprocess.Popen[bytes] = field(repr=False, compare=False)


def check_state(plan: Plan, state: State | None) -> None:
    """Refuse a plan that was made from another state than the present one.

    Raises:
        StalePlanError: the lineage or the serial differs; the message says which, and what to do.
    """
    hint = f"make a new plan: dtk plan {plan.service}"
    # The plan of a first task is made without a state and has serial 0.
    if state is None:
        if plan.serial:
            raise StalePlanError(
                f"the plan is stale: the state of '{plan.service}' that it was made from no longer exists", hint=hint
            )
        return
    if plan.lineage and state.lineage != plan.lineage:
        raise StalePlanError(
            f"the plan is stale: it was made for an earlier service with the name '{plan.service}'", hint=hint
        )
    if state.serial != plan.serial:
        raise StalePlanError(
            f"the plan is stale: the state of '{plan.service}' has changed since the plan was made"
            f" (serial {state.serial}; the plan has serial {plan.serial})",
            hint=hint,
        )


def start_task(
    workspace: Workspace,
    plan: Plan,
    *,
    lock: ServiceLock,
    modules: Mapping[str, Path],
    shared: HeldService | None = None,
    ahead: WorkerAhead | None = None,
    executor: Executor = Executor(),  # noqa: B008 - it is frozen
) -> StartedTask:
    """Start a task in a separate process, which outlives this one and its terminal.

    Args:
        workspace: the workspace.
        plan: the plan; the caller has checked that its modules' digests are the present ones.
        lock: the service's lock; the worker inherits it, and this process no longer holds it afterwards.
        modules: the modules' folders by name.
        shared: the hold on the service in the shared store; it passes to the task's shipper.
        ahead: a worker that waits for the task, if there is one.
        executor: where the processes run that hold the connections to nodes, and how many there are.

    Raises:
        StalePlanError: the state or a module's file has changed since the plan was made.
        DtkError: the executor's cluster can't be used; the task can't be written, or can't be started in the store.
    """
    executor = ready(executor, workspace.root)
    found = load_state(workspace.state_file(plan.service))
    check_state(plan, found if found and _is_of(plan, found) else None)
    state = _begun(workspace, plan, found, shared.settings.shown if shared else "")
    earlier = workspace.task_numbers(plan.service)
    if earlier:
        close_orphaned_log(workspace.event_log(plan.service, earlier[-1]))
    number = max([*earlier, state.last_task]) + 1
    if shared is not None:
        number = shared.begin_task(number, to_text(plan))
    folder = make_task_folder(workspace, plan, number, modules)
    begin_task(workspace, plan, number, state)
    with EventLog(workspace.event_log(plan.service, number)) as log:
        write_planned(log, plan, number, lock.author())
    if shared is None:
        process = _spawn_worker(workspace, folder, lock, executor, ahead=ahead)
    else:
        shared.hand_over(number)
        process = _spawn_both(workspace, folder, lock, executor, shared)
    lock.name_holder(_worker_holder(lock, number, process.pid))
    lock.hand_over()
    return StartedTask(number, folder, process.pid, process)


def _is_of(plan: Plan, state: State) -> bool:
    """Return whether a state is this service's; one without nodes may be that of an earlier service of this name."""
    return bool(state.nodes) or plan.lineage in ("", state.lineage)


def _begun(workspace: Workspace, plan: Plan, found: State | None, store: str) -> State:
    """Return the state that the task continues from; a service's first state has the service's id as its lineage.

    ``store`` is the location of the shared store, "" if the service is not shared.
    """
    if found is not None and _is_of(plan, found):
        return found
    last_task = found.last_task if found else 0
    begun = replace(new_state(plan.service, plan.lineage), last_task=last_task, moved_to=store)
    save_state(workspace.state_file(plan.service), begun)
    return begun


def _spawn_both(
    workspace: Workspace, folder: Path, lock: ServiceLock, executor: Executor, shared: HeldService
) -> subprocess.Popen[bytes]:
    """Start the worker and the process that ships its records to the store; return the worker."""
    with pair() as (ours, shippers):
        process = _spawn_worker(workspace, folder, lock, executor, ours)
        with (folder / WORKER_LOG).open("ab") as output:
            start_shipper(shared, folder, process.pid, shippers, lock.descriptor, output)
    return process


def _spawn_worker(
    workspace: Workspace,
    folder: Path,
    lock: ServiceLock,
    executor: Executor,
    link: socket.socket | None = None,
    ahead: WorkerAhead | None = None,
) -> subprocess.Popen[bytes]:
    """Pass the task to the waiting worker, or else start one; return its process."""
    linked = [link.fileno()] if link else []
    log = os.open(folder / WORKER_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    asked = known_as_pipe()
    try:
        if ahead and ahead.begin(folder, lock.descriptor, [lock.command, executor.to_word()], log, asked):
            return ahead.process
        words = [str(folder), str(lock.descriptor), lock.command, executor.to_word(), *map(str, linked)]
        return spawn(words, workspace, log, [lock.descriptor, *linked], asked)
    finally:
        os.close(log)
        os.close(asked)


def _worker_holder(lock: ServiceLock, number: int, pid: int) -> Holder:
    mine = this_process(f"{lock.command} (task {number})", number)
    return Holder(pid, mine.command, mine.host, mine.since, number, lock.author())

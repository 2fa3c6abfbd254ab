"""Transfers states between the local folder, the shared store and the earlier states that the store keeps."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from dtk.disk.files import make_private_folder, replace_file
from dtk.errors import UsageError
from dtk.events.recovery import close_orphaned_log
from dtk.service.shared_states import KeptState, commit_again, needed_entry
from dtk.service.shared_store import SharedStore
from dtk.state.author import this_user
from dtk.state.lock import acquire as lock_here
from dtk.state.model import State
from dtk.state.portable import own_key
from dtk.state.store import load_state, shared_text
from dtk.state.workspace import Workspace
from dtk.store.access import fetch_key, publish_key
from dtk.store.commit import commit_state
from dtk.store.errors import StoreError
from dtk.store.founding import check_store
from dtk.store.head import Head
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, LeaseRequest, Tools, acquire, new_lease
from dtk.store.mirror import HeadNow, bring_logs, head_now, note_place, note_seen, put_state, seen_of
from dtk.store.objects import get_patiently, put_once
from dtk.store.opening import open_access


def _take(store: SharedStore, service: str, lineage: str, command: str) -> HeldLease:
    """Acquire the lease on a service for a short operation, without waiting for another holder.

    Raises:
        HeldError: another process holds the service.
        StoreError: the store is unreachable or refuses the request.
    """
    holder = new_lease(socket.gethostname(), this_user(os.environ), command, store.settings.lease)
    return acquire(Tools(store.objects), LeaseRequest(service, lineage, holder))


def restore(store: SharedStore, kept: KeptState, service: str, lineage: str) -> int:
    """Make an earlier state the current one; return its new serial.

    Raises:
        HeldError: another process holds the service.
        StoreError: the store is unreachable or refuses the request.
    """
    lease = _take(store, service, lineage, f"dtk state restore {service} {kept.serial}")
    try:
        return commit_again(lease, kept)
    finally:
        lease.release()


def push(store: SharedStore, workspace: Workspace, workspace_id: str, service: str, *, force: bool) -> bool:
    """Upload a service from this folder to the store: tasks and key first, then the state.

    After a crash, the next push continues: everything except the head is written only once.

    Args:
        store: the store; a new one is initialized.
        workspace: the workspace.
        workspace_id: the id of the workspace.
        service: the name of the service.
        force: whether to replace an older state of the service in the store.

    Returns:
        True if the state was uploaded; False if the store already has it.

    Raises:
        LockedError: a task runs, here or elsewhere.
        UsageError: there is no local state, or the store has an older one and ``force`` is not given.
        StoreError: the store has another service with this name or a newer state, is unreachable, or refuses.
    """
    command, folder, place = f"dtk state push {service}", workspace.service_folder(service), store.settings.shown
    with lock_here(folder, command, None):
        state = load_state(workspace.state_file(service))
        if state is None:
            raise UsageError(f"this workspace has no state of '{service}'", hint="dtk ls")
        if state.moved_to not in ("", place) and not force:
            raise UsageError(
                f"the local state of '{service}' is a copy of the state in {state.moved_to}",
                hint=f"name that store in dtk.yaml and first run there: dtk state pull {service};"
                f" if that store is lost, push the copy: dtk state push {service} --force",
            )
        is_known = state.moved_to == place and seen_of(workspace, service) is not None
        check_store(store.objects, workspace_id, was_used=is_known)
        found = head_now(store.objects, service)
        is_there = found is not None and _is_there(found.head, state, force=force)
        lease = _take(store, service, state.lineage, command)
        try:
            _put_tasks(lease, workspace, service, state)
            _put_key(store, lease.keys, own_key(folder))
            if not is_there:
                commit_state(lease, state.serial, shared_text(state, folder).encode())
        finally:
            lease.release()
        note_seen(workspace, service, lease.head)
        note_place(workspace, service, lease.head, place)
        return not is_there


def _is_there(head: Head, state: State, *, force: bool) -> bool:
    """Return whether the store has this state; refuse if it has a newer one, or an older one without ``force``."""
    if head.destroyed or head.state is None or head.lineage != state.lineage:
        # ``acquire`` refuses a different lineage and names both ids.
        return False
    if head.serial > state.serial:
        raise StoreError(
            f"the store has a newer state of '{state.service}' (serial {head.serial}, local serial {state.serial})",
            hint="use the newer state: every command downloads it",
        )
    if head.serial < state.serial and not force:
        raise UsageError(
            f"the store has an older state of '{state.service}' (serial {head.serial}, local serial {state.serial})",
            hint=f"if nobody else has changed the service since, replace it: dtk state push {state.service} --force",
        )
    return head.serial == state.serial


def _put_tasks(lease: HeldLease, workspace: Workspace, service: str, state: State) -> None:
    objects, numbers = lease.tools.objects, workspace.task_numbers(service)
    for number in numbers:
        log = workspace.event_log(service, number)
        if not log.exists():
            continue
        close_orphaned_log(log)
        files = {log: lease.keys.whole_log(number), log.parent / "plan.json": lease.keys.plan(number)}
        for file, key in files.items():
            if file.exists() and not put_once(objects, key, file.read_bytes()):
                raise StoreError(
                    f"the store has another task {number} of '{service}': {key}",
                    hint="two folders used the same task number; stage one of the services under another name",
                )
    last = max([*numbers, state.last_task, lease.head.last_task])
    if last != lease.head.last_task:
        lease.note_last_task(last)


def _put_key(store: SharedStore, keys: ServiceKeys, file: Path) -> None:
    if file.exists() and not publish_key(open_access(store.settings), keys, file):
        raise StoreError(f"the private key of '{keys.service}' in the store differs from {file}")


def pull(store: SharedStore, workspace: Workspace, service: str) -> int:
    """Download everything of a service, so that this folder can go on without the store; return the state's serial.

    Raises:
        LockedError: a task runs here.
        UsageError: the store does not have the service.
        StoreError: the store can't be read.
    """
    keys, found = ServiceKeys(service), needed_entry(store, service)
    bring_logs(store.objects, workspace, service, HeadNow(found.head, found.age))
    with lock_here(workspace.service_folder(service), f"dtk state pull {service}", None):
        put_state(store.objects, workspace, service, found.head, "")
        for number in workspace.task_numbers(service):
            file = workspace.task_folder(service, number) / "plan.json"
            plan = None if file.exists() else get_patiently(store.objects, keys.plan(number))
            if plan is not None:
                make_private_folder(file.parent)
                replace_file(file, plan.data.decode("utf-8"))
        fetch_key(open_access(store.settings), keys, own_key(workspace.service_folder(service)))
        # From here on, the local state is the original again, not a copy.
        workspace.store_file(service).unlink(missing_ok=True)
    return found.head.serial

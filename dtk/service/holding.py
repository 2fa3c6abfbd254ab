"""Holds a service to change it: by the lock on this machine and, if there is a shared store, by a lease."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dtk.errors import DtkError, LockedError
from dtk.events.log_reader import read_log
from dtk.service.identity import FoundIdentity, find_identity
from dtk.service.shared_store import refuse_left, refuse_offline, store_settings_of
from dtk.state.lock import LOCK_FILE, ServiceLock, acquire, holder
from dtk.state.workspace import Workspace

if TYPE_CHECKING:
    from dtk.store.holding import HeldService

ENDING_SECONDS = 60.0
"""How long a worker may take to exit after its task has ended, in seconds; commands wait that long unasked."""


@dataclass(frozen=True)
class Holding:
    """A held service and its ids; ``shared`` is its lease in the store, None without a store."""

    lock: ServiceLock
    found: FoundIdentity
    shared: HeldService | None = None


@contextmanager
def holding(
    workspace: Workspace, service: str, command: str, wait: float | None, found: FoundIdentity | None = None
) -> Iterator[Holding]:
    """Hold a service until the end of the block, or until the processes of its task hold it.

    The local state is updated to what the last holder left. Changes that the block makes to it are committed to the
    store afterwards.

    Args:
        workspace: the workspace.
        service: the name of the service.
        command: the command that holds the service, as people type it.
        wait: how long to wait for another holder, in seconds; None for a command without an option to wait.
        found: the ids of the service if its files do not have them.

    Raises:
        LockedError: another process holds the service for longer than that, here or elsewhere.
        InvalidError: the service's files are invalid.
        StoreError: the store is unreachable or refuses the request.
    """
    refuse_offline(workspace)
    until = time.monotonic() + (wait or 0.0)
    lock_file = workspace.service_folder(service) / LOCK_FILE
    was_there = lock_file.exists()
    with _take(workspace, service, command, wait) as lock:
        try:
            identity = found or find_identity(workspace, service)
            shared = _hold(workspace, service, command, max(until - time.monotonic(), 0.0), identity)
            with _given_back(shared):
                yield Holding(lock, identity, shared)
        except DtkError:
            # A refused command must leave nothing behind. A process that waits for the lock sees that its file was
            # removed and creates a new one.
            if not was_there and lock.descriptor >= 0:
                lock_file.unlink(missing_ok=True)
            raise


def _take(workspace: Workspace, service: str, command: str, wait: float | None) -> ServiceLock:
    """Take a service's lock; wait for a worker whose task has ended, since it exits within moments."""
    folder = workspace.service_folder(service)
    try:
        return acquire(folder, command, wait)
    except LockedError as refused:
        if not _holder_has_ended(workspace, service):
            raise
        with suppress(LockedError):
            return acquire(folder, command, ENDING_SECONDS)
        raise refused from None


def _holder_has_ended(workspace: Workspace, service: str) -> bool:
    found = holder(workspace.service_folder(service))
    if found is None or not found.task:
        return False
    try:
        events = read_log(workspace.event_log(service, found.task)).events
    except OSError:
        return False
    return bool(events) and events[-1]["type"] == "task.finished"


def _hold(workspace: Workspace, service: str, command: str, wait: float, found: FoundIdentity) -> HeldService | None:
    settings = store_settings_of(workspace)
    if settings is None:
        refuse_left(workspace, service)
        return None
    from dtk.store.holding import HoldRequest, hold  # noqa: PLC0415 - only with a store

    ids = found.identity
    return hold(settings, workspace, HoldRequest(service, ids.service, ids.workspace, command, wait))


@contextmanager
def _given_back(shared: HeldService | None) -> Iterator[None]:
    """Release the service in the store at the end of the block, unless its task has taken over the lease."""
    if shared is None:
        yield
        return
    try:
        yield
    except BaseException:
        # Report the first error; if the store is unreachable, the lease expires and frees the service.
        with suppress(DtkError):
            shared.give_back()
        raise
    shared.give_back()

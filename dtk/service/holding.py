"""Holds a service to change it: by the lock on this machine, and by the lease in the shared store, if any."""

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
"""How long a worker may take to end once its task has ended; a command waits for that unasked."""


@dataclass(frozen=True)
class Holding:
    """A service that is held, and whose it is; ``shared`` is its part in the store, None without one."""

    lock: ServiceLock
    found: FoundIdentity
    shared: HeldService | None = None


@contextmanager
def holding(
    workspace: Workspace, service: str, command: str, wait: float | None, found: FoundIdentity | None = None
) -> Iterator[Holding]:
    """Hold a service until the end of the block, or until its task's own processes hold it.

    Its local state is what the last holder left then. What the block changes in it is in the store afterwards.

    Args:
        workspace: the workspace.
        service: the service's name.
        command: what it is held for, as people type it.
        wait: how long to wait for another holder, seconds; None for a command that can't be told to wait.
        found: the service's identity, where its files do not say it.

    Raises:
        LockedError: another process holds it for longer than that, here or elsewhere.
        InvalidError: the service's files are invalid.
        StoreError: the store can't be reached, or refuses.
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
            # What is refused changes nothing. Whoever waits for the lock sees that its file is gone, and makes another.
            if not was_there and lock.descriptor >= 0:
                lock_file.unlink(missing_ok=True)
            raise


def _take(workspace: Workspace, service: str, command: str, wait: float | None) -> ServiceLock:
    """Take a service's lock. A worker whose task has ended holds it for a moment more: that is no reason to refuse."""
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
    """Give the service back in the store at the end of the block, unless its task has it by then."""
    if shared is None:
        yield
        return
    try:
        yield
    except BaseException:
        # What went wrong first is what is said; an unreachable store frees the service when the lease is over.
        with suppress(DtkError):
            shared.give_back()
        raise
    shared.give_back()

"""The shared store of a workspace: opens it if dtk.yaml names one, and updates the local folder from it before use."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dtk.errors import DtkError
from dtk.model.store_settings import StoreSettings
from dtk.service.global_options import notify, settings
from dtk.state.workspace import Workspace

if TYPE_CHECKING:
    from dtk.store.mirror import HeadNow
    from dtk.store.objects import Objects

# The store is imported only where it is used: most workspaces have none, and their commands should not pay for it.
# ruff: noqa: PLC0415

POLL_SECONDS = 2.0
"""Seconds between a follower's requests to the store: with the same delay of the writer, it lags by up to 4 s."""

READ_AGAIN_SECONDS = (0.5, 1.0)
"""Short pauses before a reader retries, in seconds: a person waits, and the last known state can be shown instead."""


@dataclass(frozen=True)
class SharedStore:
    """A workspace's store, opened."""

    settings: StoreSettings
    objects: Objects


def store_settings_of(workspace: Workspace) -> StoreSettings | None:
    """Return the settings of a workspace's shared store, or None if its state is only on this machine.

    Raises:
        InvalidError: dtk.yaml is invalid.
    """
    # Without the word "store" there is no store: commands that need nothing else of dtk.yaml need not parse it.
    if b"store" not in workspace.file.read_bytes():
        return None
    from dtk.dsl.workspace import load_workspace

    found = load_workspace(workspace.file, workspace.root).store
    if found is None or found.type != "folder":
        return found
    return replace(found, path=str(workspace.root / Path(found.path).expanduser()))


def open_store(workspace: Workspace) -> SharedStore | None:
    """Return a workspace's store, or None if its state is only on this machine; make no request yet.

    Raises:
        InvalidError: dtk.yaml is invalid.
        StoreError: there are no credentials for the store.
    """
    found = store_settings_of(workspace)
    return SharedStore(found, _opened(found)) if found else None


@lru_cache(maxsize=4)
def _opened(found: StoreSettings) -> Objects:
    """Return the objects of a store, cached: an S3 client takes 0.25 s to create, and a shell runs many commands."""
    from dtk.store.opening import open_objects

    return open_objects(found)


def read_state(workspace: Workspace, service: str) -> HeadNow | None:
    """Update a service's local state from the store; do nothing without a store.

    If the store can't be read, the last known state is used, and its time is printed on standard error.

    Returns:
        The head of the service, or None if there is no store, the store does not have the service, or it was not read.

    Raises:
        StoreError: the store can't be read, and this machine never read the service from it.
    """

    def read(store: SharedStore) -> HeadNow | None:
        from dtk.store.mirror import bring_state

        return bring_state(store.objects, workspace, service, store.settings.shown)

    return _read(workspace, service, read)


def read_logs(workspace: Workspace, service: str) -> int:
    """Update the local state and the local logs of a service's tasks from the store, otherwise like ``read_state``.

    Returns:
        The number of the running task on any machine; 0 if none runs, and without a store.
    """

    def read(store: SharedStore) -> HeadNow | None:
        from dtk.store.mirror import bring_logs, bring_state

        found = bring_state(store.objects, workspace, service, store.settings.shown)
        if found is not None:
            bring_logs(store.objects, workspace, service, found)
        return found

    found = _read(workspace, service, read)
    return found.running if found else 0


def read_all_states(workspace: Workspace) -> None:
    """Update the local states of all services in the store, otherwise like ``read_state``."""
    from dtk.store.layout import SERVICES

    store = None if settings().offline else open_store(workspace)
    for name in store.objects.names(SERVICES) if store else ():
        read_state(workspace, name)


def runs_elsewhere(workspace: Workspace, service: str, number: int) -> Callable[[], bool] | None:
    """Return a function that fetches new events of a task's log from the store and returns whether the task runs.

    It queries the store at most every two seconds, and not at all once the local log is complete. While the store can't
    be read, it repeats the last answer. Return None without a store.
    """
    store = None if settings().offline else open_store(workspace)
    if store is None:
        return None
    from dtk.store.errors import StoreError
    from dtk.store.mirror import RemoteTask, is_whole

    task, log = RemoteTask(store.objects, workspace, service, number), workspace.event_log(service, number)
    asked, answer = -POLL_SECONDS, False

    def runs() -> bool:
        nonlocal asked, answer
        now = time.monotonic()
        if now - asked >= POLL_SECONDS:
            asked = now
            with suppress(StoreError):
                answer = not is_whole(log) and task.bring()
        return answer

    return runs


def _read(workspace: Workspace, service: str, read: Callable[[SharedStore], HeadNow | None]) -> HeadNow | None:
    found = store_settings_of(workspace)
    left = "" if found else left_store(workspace, service)
    if settings().offline and (found or left):
        notify(_as_of(workspace, service, "--offline"))
        return None
    if found is None:
        refuse_left(workspace, service)
        return None
    from dtk.store.errors import DamagedError, StoreError, StrangeStateError
    from dtk.store.mirror import seen_of
    from dtk.store.objects import Patient

    try:
        head = read(SharedStore(found, Patient(_opened(found), READ_AGAIN_SECONDS)))
        if head is None:
            _say_unshared(workspace, service, found)
        return head
    except (DamagedError, StrangeStateError):
        raise
    except StoreError as error:
        if seen_of(workspace, service) is None:
            hint = (
                f"{error.hint}; or show the local copy: --offline" if error.hint else "show the local copy: --offline"
            )
            raise type(error)(error.message, hint=hint) from error
        notify(_as_of(workspace, service, f"the store can't be read: {error.message}"))
        return None


def _say_unshared(workspace: Workspace, service: str, found: StoreSettings) -> None:
    """Print a notice if a service's state is only in this folder, although there is a store."""
    from dtk.state.store import load_state
    from dtk.store.mirror import has_content

    local = load_state(workspace.state_file(service))
    if local is not None and has_content(local):
        notify(f"{service}: the local state is not in {found.shown}; to copy it there: dtk state push {service}")


def left_store(workspace: Workspace, service: str) -> str:
    """Return the store of which the local state of a service is a copy, "" if the local state is the original."""
    # This file exists only for services that were read from a store.
    if not workspace.store_file(service).exists():
        return ""
    from dtk.state.store import load_state

    local = load_state(workspace.state_file(service))
    return local.moved_to if local else ""


def refuse_left(workspace: Workspace, service: str) -> None:
    """Refuse a dtk.yaml without a store if the service's state is in one: the local copy would diverge from it.

    Raises:
        DtkError: the local state is a copy.
    """
    left = left_store(workspace, service)
    if left:
        raise DtkError(
            f"the state of '{service}' is in {left}, but dtk.yaml no longer names a store: the local state is a copy",
            hint="restore 'store:' in dtk.yaml; to stop using the store, first copy everything from it:"
            f" dtk state pull {service}; or show the copy: --offline",
        )


def _as_of(workspace: Workspace, service: str, why: str) -> str:
    """Return a notice that says how old the shown data is."""
    from dtk.store.mirror import seen_of

    seen = seen_of(workspace, service)
    if seen is None:
        return f"{service}: never read from the store on this machine ({why})"
    moment = datetime.fromisoformat(seen.seen_at).astimezone()
    return f"{service}: as of {moment:%Y-%m-%d %H:%M:%S} ({why})"


def fetch_service_key(workspace: Workspace, service: str) -> None:
    """Fetch a service's private key from the store if this machine does not have it; do nothing without a store.

    Raises:
        StoreError: the store is unreachable or refuses: the key needs more permission than state and logs.
    """
    from dtk.state.portable import own_key

    key = own_key(workspace.service_folder(service))
    found = None if settings().offline or key.exists() else store_settings_of(workspace)
    if found is None:
        return
    from dtk.store.access import fetch_key
    from dtk.store.layout import ServiceKeys
    from dtk.store.opening import open_access

    fetch_key(open_access(found), ServiceKeys(service), key)


def refuse_offline(workspace: Workspace) -> None:
    """Refuse to change a service offline: nobody else would see the change, and nothing would be locked.

    Raises:
        DtkError: the workspace has a store, and ``--offline`` was given.
    """
    if settings().offline and store_settings_of(workspace) is not None:
        raise DtkError("--offline only shows what was last read; it cannot change anything", hint="omit --offline")

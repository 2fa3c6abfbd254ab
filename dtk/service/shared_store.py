"""The shared store of a workspace: opened where dtk.yaml names one, and read into the local folder before use."""

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

# Imported where a store is used: most workspaces have none, and their commands do not pay for it.
# ruff: noqa: PLC0415

POLL_SECONDS = 2.0
"""How long a follower waits before it asks the store again: with as long for the writer, it is 4 s behind."""

READ_AGAIN_SECONDS = (0.5, 1.0)
"""Pauses before a reader asks again: a person waits, and what was read last can be shown."""


@dataclass(frozen=True)
class SharedStore:
    """A workspace's store, opened."""

    settings: StoreSettings
    objects: Objects


def store_settings_of(workspace: Workspace) -> StoreSettings | None:
    """Return where a workspace's state is shared, None where it is this machine's alone.

    Raises:
        InvalidError: dtk.yaml is invalid.
    """
    # A file without the word has no store: commands that need nothing else of dtk.yaml do not parse it.
    if b"store" not in workspace.file.read_bytes():
        return None
    from dtk.dsl.workspace import load_workspace

    found = load_workspace(workspace.file, workspace.root).store
    if found is None or found.type != "folder":
        return found
    return replace(found, path=str(workspace.root / Path(found.path).expanduser()))


def open_store(workspace: Workspace) -> SharedStore | None:
    """Return a workspace's store, opened; None where its state is this machine's alone. Nothing is asked yet.

    Raises:
        InvalidError: dtk.yaml is invalid.
        StoreError: there are no credentials for it.
    """
    found = store_settings_of(workspace)
    return SharedStore(found, _opened(found)) if found else None


@lru_cache(maxsize=4)
def _opened(found: StoreSettings) -> Objects:
    """Making a client of S3 takes a quarter of a second; a shell runs many commands."""
    from dtk.store.opening import open_objects

    return open_objects(found)


def read_state(workspace: Workspace, service: str) -> HeadNow | None:
    """Make a service's local state the one in the store; without a store the local one is all there is.

    Where the store can't be read, what was read last stays, and when that was is said on standard error.

    Returns:
        The service's head; None without a store, where it does not know the service, and where it was not read.

    Raises:
        StoreError: it can't be read, and nothing of the service was ever read here.
    """

    def read(store: SharedStore) -> HeadNow | None:
        from dtk.store.mirror import bring_state

        return bring_state(store.objects, workspace, service, store.settings.shown)

    return _read(workspace, service, read)


def read_logs(workspace: Workspace, service: str) -> int:
    """Make the local logs of a service's tasks those in the store; else as ``read_state``.

    Returns:
        The number of the task that runs, on whichever machine; 0 where none does, and without a store.
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
    """Make the local state of every service that the store knows the one there; else as ``read_state``."""
    from dtk.store.layout import SERVICES

    store = None if settings().offline else open_store(workspace)
    for name in store.objects.names(SERVICES) if store else ():
        read_state(workspace, name)


def runs_elsewhere(workspace: Workspace, service: str, number: int) -> Callable[[], bool] | None:
    """Return a function that brings what is new of a task's log from the store, and says whether the task runs.

    It asks the store every two seconds at most, and not for a log that is here to its end. While the store can't be
    read, the last answer stands. None without a store.
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
            hint = f"{error.hint}; or show what is here: --offline" if error.hint else "show what is here: --offline"
            raise type(error)(error.message, hint=hint) from error
        notify(_as_of(workspace, service, f"the store can't be read: {error.message}"))
        return None


def _say_unshared(workspace: Workspace, service: str, found: StoreSettings) -> None:
    """Say that a service is this folder's alone, although there is a store."""
    from dtk.state.store import load_state
    from dtk.store.mirror import has_content

    local = load_state(workspace.state_file(service))
    if local is not None and has_content(local):
        notify(f"{service}: its state here is not in {found.shown}; put it there: dtk state push {service}")


def left_store(workspace: Workspace, service: str) -> str:
    """Return the store that has a service of which only a copy is here, "" where the local state is its own."""
    # Only what a store is read into has this file.
    if not workspace.store_file(service).exists():
        return ""
    from dtk.state.store import load_state

    local = load_state(workspace.state_file(service))
    return local.moved_to if local else ""


def refuse_left(workspace: Workspace, service: str) -> None:
    """Refuse a dtk.yaml without a store for a service that is in one: what is here would go on beside it.

    Raises:
        DtkError: the local state is a copy.
    """
    left = left_store(workspace, service)
    if left:
        raise DtkError(
            f"the state of '{service}' is in {left}, but dtk.yaml no longer names a store: the local state is a copy",
            hint="put 'store:' back; to stop using the store, first copy everything here, with 'store:' in dtk.yaml:"
            f" dtk state pull {service}; or show the copy: --offline",
        )


def _as_of(workspace: Workspace, service: str, why: str) -> str:
    """Say of when what is shown is."""
    from dtk.store.mirror import seen_of

    seen = seen_of(workspace, service)
    if seen is None:
        return f"{service}: it was never read from the store on this machine ({why})"
    moment = datetime.fromisoformat(seen.seen_at).astimezone()
    return f"{service}: as of {moment:%Y-%m-%d %H:%M:%S} ({why})"


def fetch_service_key(workspace: Workspace, service: str) -> None:
    """Bring a service's private key from the store where this machine has none of it; nothing without a store.

    Raises:
        StoreError: the store can't be reached, or refuses: it takes more permission than reading state and logs.
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
    """Refuse to change a service without its store: nobody else would see it, and nothing would be locked.

    Raises:
        DtkError: the workspace has a store, and ``--offline`` was given.
    """
    if settings().offline and store_settings_of(workspace) is not None:
        raise DtkError("--offline only shows what was last read; it cannot change anything", hint="leave --offline out")

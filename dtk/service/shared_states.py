"""The states of services in the shared store: list, show and restore them, and release a service by force."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from dtk.errors import DtkError, UsageError
from dtk.model.json_data import JsonObject, parse_json
from dtk.model.value import Known
from dtk.service.shared_store import SharedStore, open_store
from dtk.state.document import from_document, to_document
from dtk.state.model import State
from dtk.state.workspace import Workspace
from dtk.store.commit import commit_state, committed_state
from dtk.store.errors import DamagedError
from dtk.store.head import Head, decode, encode
from dtk.store.layout import SERVICES, ServiceKeys
from dtk.store.lease import HeldLease, grace_of, is_held
from dtk.store.mirror import HeadNow, head_now
from dtk.store.objects import Stored, get_patiently

HIDDEN = "(hidden)"
_STATE_KEY = re.compile(r"([0-9]+)-([0-9]+)\.json")


@dataclass(frozen=True)
class StoredService:
    """A service in the store. ``age`` is the time since its head was written, in seconds by the store's clock.

    ``holder`` names the holder, "" for none; ``is_held`` is False once the lease has expired. ``frees_after`` is how
    many seconds without a heartbeat that takes; ``running`` is the number of the running task, 0 for none.
    """

    name: str
    head: Head
    age: float
    holder: str
    is_held: bool
    frees_after: float
    running: int

    @property
    def nonce(self) -> str:
        """The nonce that identifies the holder, "" without one."""
        return self.head.lease.nonce if self.head.lease else ""


@dataclass(frozen=True)
class KeptState:
    """A state kept in the store: its serial, its epoch (the number of holders when it was written), its age in seconds.

    ``state`` is None if it can't be read; ``is_current`` marks the one that the head points to.
    """

    key: str
    serial: int
    epoch: int
    age: float
    state: State | None
    is_current: bool


def needed_store(workspace: Workspace) -> SharedStore:
    """Return the store of a workspace.

    Raises:
        UsageError: dtk.yaml names no store.
        StoreError: there are no credentials for the store.
    """
    store = open_store(workspace)
    if store is None:
        raise UsageError(
            "dtk.yaml names no shared store: states exist only in .dtk of this workspace",
            hint="add one: store: {type: folder, path: /srv/team/dtk} (docs/teams.md)",
        )
    return store


def list_entries(store: SharedStore) -> list[StoredService]:
    """Return all services in the store, by name.

    Raises:
        StoreError: the store can't be read.
    """
    found = [(name, head_now(store.objects, name)) for name in store.objects.names(SERVICES)]
    return [_entry(name, head) for name, head in found if head is not None]


def needed_entry(store: SharedStore, service: str) -> StoredService:
    """Return a service in the store.

    Raises:
        UsageError: the store does not have the service.
        StoreError: the store can't be read.
    """
    found = head_now(store.objects, service)
    if found is None:
        raise UsageError(f"the store has no service '{service}'", hint="dtk state list")
    return _entry(service, found)


def _entry(name: str, found: HeadNow) -> StoredService:
    lease = found.head.lease
    if lease is None:
        return StoredService(name, found.head, found.age, "", is_held=False, frees_after=0.0, running=0)
    after = lease.seconds + grace_of(lease)
    held = is_held(found.head, found.age)
    return StoredService(
        name, found.head, found.age, str(lease), is_held=held, frees_after=after, running=found.running
    )


def read_kept(store: SharedStore, service: str) -> list[KeptState]:
    """Return the states that the store keeps of a service, newest first.

    Raises:
        StoreError: the store can't be read.
    """
    head = needed_entry(store, service).head
    current = head.state.key if head.state else ""
    keys = store.objects.list(ServiceKeys(service).states)
    found = [_kept(key, get_patiently(store.objects, key), is_current=key == current) for key in keys]
    return sorted((one for one in found if one), key=lambda one: (one.serial, one.epoch), reverse=True)


def _kept(key: str, stored: Stored | None, *, is_current: bool) -> KeptState | None:
    name = _STATE_KEY.fullmatch(key.rpartition("/")[2])
    if name is None or stored is None:
        return None
    return KeptState(key, int(name[1]), int(name[2]), stored.age, _state_of(stored.data, key), is_current)


def _state_of(data: bytes, source: str) -> State | None:
    try:
        return from_document(parse_json(data), source)
    except (DtkError, ValueError):
        return None


def shown_state(store: SharedStore, service: str) -> JsonObject:
    """Return the committed state as a document for people, with hidden values replaced.

    Raises:
        UsageError: no state is committed.
        StoreError: the store can't be read, or its state is damaged.
    """
    head = needed_entry(store, service).head
    body = committed_state(store.objects, head)
    if body is None:
        raise UsageError(f"service '{service}' has no committed state yet", hint=f"dtk apply {service}")
    try:
        state = from_document(parse_json(body), f"state {head.serial}")
    except ValueError as error:
        raise DamagedError(f"state {head.serial} in the store is damaged: {error}") from None
    return to_document(without_hidden(state))


def without_hidden(state: State) -> State:
    """Return a state with its hidden values replaced by ``HIDDEN``."""
    applied = {
        node: {
            name: replace(
                one, attributes={k: Known(HIDDEN) if k in one.hidden else v for k, v in one.attributes.items()}
            )
            for name, one in components.items()
        }
        for node, components in state.applied.items()
    }
    hidden = {
        f"{node}/{name}/{attribute}"
        for node, components in state.applied.items()
        for name, one in components.items()
        for attribute in one.hidden
    }
    attributes = {path: HIDDEN if path in hidden else value for path, value in state.attributes.items()}
    return replace(state, applied=applied, attributes=attributes)


def choose_kept(kept: list[KeptState], service: str, serial: int) -> KeptState:
    """Return the newest kept state with a serial.

    Raises:
        UsageError: no readable state has it.
    """
    found = next((one for one in kept if one.serial == serial), None)
    if found is None or found.state is None:
        what = "is damaged as well" if found else "is not in the store"
        raise UsageError(f"state {serial} of '{service}' {what}", hint=f"dtk state history {service}")
    return found


def commit_again(lease: HeldLease, kept: KeptState) -> int:
    """Commit an earlier state again as the newest one; return its new serial.

    Args:
        lease: the lease on the service.
        kept: the state; it must be readable.

    Raises:
        FencedError: another process holds the service.
        StoreError: the store is unreachable or refuses the request.
    """
    if kept.state is None:
        raise DamagedError(f"{kept.key} in the store is damaged")
    serial = lease.head.serial + 1
    last_task = max(lease.head.last_task, kept.state.last_task)
    document = to_document(replace(kept.state, serial=serial, last_task=last_task))
    commit_state(lease, serial, _text(document))
    return serial


def _text(document: JsonObject) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def free(store: SharedStore, service: str, nonce: str) -> bool:
    """Take a service away from its holder, which notices at its next write; return whether it still had the service.

    Args:
        store: the store.
        service: the name of the service.
        nonce: the nonce of the holder; any other holder is left alone.

    Raises:
        StoreError: the store is unreachable or refuses the request.
    """
    key = ServiceKeys(service).head
    found = store.objects.get(key)
    head = decode(found.data, key) if found else None
    if found is None or head is None or not head.held_by(nonce):
        return False
    # A new epoch: what the holder wrote to its own disk no longer counts as ahead of the store.
    freed = replace(head, lease=None, epoch=head.epoch + 1)
    return store.objects.put_if(key, encode(freed), found.etag) is not None

"""Mirrors a service from the store into the local folder: its state and the logs of its tasks.

All readers use the local files, with or without a store. What a task writes on this machine is never overwritten
while the task runs, nor while it is ahead of the store and nobody else has held the service since.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dtk.disk.files import replace_file
from dtk.errors import DtkError, LockedError
from dtk.model.json_data import parse_json
from dtk.state.document import from_document
from dtk.state.forgetting import forget_service
from dtk.state.lock import acquire, holder
from dtk.state.model import State
from dtk.state.store import journal_of, load_state, save_state
from dtk.state.workspace import Workspace
from dtk.store.commit import committed_state
from dtk.store.errors import DamagedError, StrangeStateError
from dtk.store.head import Head, decode
from dtk.store.layout import ServiceKeys
from dtk.store.lease import is_held
from dtk.store.objects import Objects
from dtk.store.segments import LogMirror, mirror_count

_AT_ONCE = 8
"""Number of logs fetched in parallel."""
_END_BYTES = 1 << 16
_END = b'"task.finished"'


@dataclass(frozen=True)
class Seen:
    """What this folder last read of a service's head. ``state`` is the key of the committed state's body.

    ``epoch`` is also that of a task that runs here; ``seen_at`` is UTC, RFC 3339.
    """

    epoch: int
    serial: int
    state: str
    last_task: int
    seen_at: str


def seen_of(workspace: Workspace, service: str) -> Seen | None:
    """Return what this folder last read of a service in the store, or None if it never did."""
    try:
        return Seen(**json.loads(workspace.store_file(service).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def note_seen(workspace: Workspace, service: str, head: Head) -> None:
    """Record the head of a service as just read."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    seen = Seen(head.epoch, head.serial, head.state.key if head.state else "", head.last_task, now)
    replace_file(workspace.store_file(service), json.dumps(asdict(seen)) + "\n")


@dataclass(frozen=True)
class HeadNow:
    """The head of a service as read; ``age`` is in seconds, by the store's clock."""

    head: Head
    age: float

    @property
    def running(self) -> int:
        """The running task on any machine; 0 if none runs or its lease has expired."""
        lease = self.head.lease
        return lease.task if lease and is_held(self.head, self.age) else 0


def head_now(objects: Objects, service: str) -> HeadNow | None:
    """Return the head of a service, or None if the store does not have the service; make one request.

    Raises:
        StoreError: the store is unreachable or refuses the request.
    """
    key = ServiceKeys(service).head
    found = objects.get(key)
    return None if found is None else HeadNow(decode(found.data, key), found.age)


def bring_state(objects: Objects, workspace: Workspace, service: str, place: str) -> HeadNow | None:
    """Update the local state to the committed one; return the head, or None if the store does not have the service.

    While a process holds the service's lock on this machine, the local files are left alone. ``place`` is the store's
    location as shown to people.

    Raises:
        StoreError: the store is unreachable or refuses the request, its state is damaged, or the local state is not a
            copy of it.
    """
    found = head_now(objects, service)
    folder = workspace.service_folder(service)
    if holder(folder) is not None:
        return found
    if found is None:
        refuse_changed_store(workspace, service, place)
        return None
    # If another process holds the lock (it reads too, or starts a task), it fetches the state itself.
    with suppress(LockedError), acquire(folder, "dtk (reading the store)", 0.0):
        refuse_strange(workspace, service, found.head, place)
        put_state(objects, workspace, service, found.head, place)
    return found


def refuse_strange(workspace: Workspace, service: str, head: Head | None, place: str) -> None:
    """Refuse a store that the local state is not from: the state would be lost, or its machines created again.

    Args:
        workspace: the workspace.
        service: the name of the service.
        head: its head in the store, or None if the store does not have the service.
        place: the store's location as shown to people.

    Raises:
        StrangeStateError: the local state is from another store, or was never in one.
    """
    local, seen = load_state(workspace.state_file(service)), seen_of(workspace, service)
    if local is None or not has_content(local) or _is_of(local, seen, head, place):
        return
    there = f"serial {head.serial}" if head and not head.destroyed else "nothing of it"
    here = f"the state of '{service}' here (serial {local.serial}, {len(local.nodes)} nodes)"
    if local.moved_to not in ("", place):
        raise StrangeStateError(
            f"{here} was read from the store {local.moved_to}, but dtk.yaml names the store {place}, which has {there}",
            hint=f"name the previous store in dtk.yaml; to change stores, first run there: dtk state pull {service}",
        )
    force = " --force" if head and head.serial < local.serial else ""
    instead = f"; or replace it with the one in the store: dtk state pull {service}" if head else ""
    raise StrangeStateError(
        f"{here} is not in {place}, which has {there}",
        hint=f"upload it: dtk state push {service}{force}{instead}",
    )


def refuse_changed_store(workspace: Workspace, service: str, place: str) -> None:
    """Refuse a store without this service if the local state is a copy from another store.

    Raises:
        StrangeStateError: the local state is such a copy.
    """
    local = load_state(workspace.state_file(service))
    if local is not None and local.moved_to not in ("", place):
        refuse_strange(workspace, service, None, place)


def has_content(state: State) -> bool:
    """Return whether a state has anything to lose; one that was only staged has not."""
    return bool(state.nodes or state.last_task)


def _is_of(local: State, seen: Seen | None, head: Head | None, place: str) -> bool:
    """Return whether a state is a copy of one that the store has or had, also if the store was renamed since."""
    if head is None:
        return False
    is_same = local.lineage == head.lineage
    if seen is None:
        return is_same and local.serial == head.serial
    # A store with the same name may have a newer service of that name; a store with another name may be an older copy.
    is_replaced = not head.destroyed and local.moved_to in ("", place)
    return (is_same or is_replaced) and head.epoch >= seen.epoch


def put_state(objects: Objects, workspace: Workspace, service: str, head: Head, place: str) -> None:
    """Write the committed state to the local folder if it differs; this process holds the service's lock.

    ``place`` is recorded in the copy as the location of the state; "" for a folder that goes on without the store.

    Raises:
        StoreError: the store is unreachable or refuses the request, or its state is damaged.
    """
    if not _is_current(workspace, service, head):
        body = None if head.destroyed else committed_state(objects, head)
        if body is None:
            forget_service(workspace, service)
        else:
            _write(workspace.state_file(service), service, body, place)
    else:
        note_place(workspace, service, head, place)
    note_seen(workspace, service, head)


def note_place(workspace: Workspace, service: str, head: Head, place: str) -> None:
    """Record in the local state where it is kept ("" for this folder only); this process holds the service's lock."""
    file = workspace.state_file(service)
    local = load_state(file)
    if local is not None and local.lineage == head.lineage and local.moved_to != place:
        save_state(file, replace(local, moved_to=place))


def _is_current(workspace: Workspace, service: str, head: Head) -> bool:
    file, seen = workspace.state_file(service), seen_of(workspace, service)
    try:
        local = load_state(file)
    except DtkError:
        return False
    if head.destroyed:
        return local is None or local.lineage != head.lineage
    if head.state is None:
        return True
    if local is None or seen is None or local.lineage != head.lineage:
        return False
    is_same = seen.state == head.state.key and local.serial == head.serial
    return is_same or is_ahead(local, seen, head)


def is_ahead(local: State | None, seen: Seen | None, head: Head) -> bool:
    """Return whether the local state continues the committed one: a task here wrote it, and nobody else has since."""
    if local is None or seen is None:
        return False
    return seen.epoch == head.epoch and local.serial >= head.serial and local.lineage == head.lineage


def _write(file: Path, service: str, body: bytes, place: str) -> None:
    # Remove the journal first: its records continue the snapshot that is about to be replaced.
    journal_of(file).unlink(missing_ok=True)
    source = f"the state of '{service}' in the store"
    try:
        state = from_document(parse_json(body.decode("utf-8")), source)
    except ValueError as error:
        raise DamagedError(f"{source} is damaged: {error}") from None
    save_state(file, replace(state, moved_to=place))


def bring_logs(objects: Objects, workspace: Workspace, service: str, found: HeadNow) -> None:
    """Fetch the logs of a service's tasks that are not complete here.

    Raises:
        StoreError: the store is unreachable or refuses the request.
    """
    here, seen = holder(workspace.service_folder(service)), seen_of(workspace, service)
    is_last_here = seen is not None and seen.epoch == found.head.epoch

    def is_needed(number: int) -> bool:
        log = workspace.event_log(service, number)
        if is_whole(log) or (here is not None and here.task == number):
            return False
        # If the last task was killed on this machine, its last events may not be in the store yet.
        return not (is_last_here and log.exists() and not mirror_count(log).exists())

    def bring(number: int) -> None:
        mirror = LogMirror(objects, ServiceKeys(service), number, workspace.event_log(service, number))
        if number == found.running:
            mirror.fetch()
        else:
            mirror.fetch_rest()

    missing = [number for number in range(1, found.head.last_task + 1) if is_needed(number)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(bring, missing))


def is_whole(log: Path) -> bool:
    """Return whether the local log is complete: fetched completely, or finished by its task on this machine."""
    try:
        counted = mirror_count(log).read_text(encoding="ascii")
        return counted.rstrip().endswith("whole")
    except FileNotFoundError:
        pass
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - _END_BYTES, 0))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    except FileNotFoundError:
        return False
    return _END in last


class RemoteTask:
    """The log of a task that is followed from this machine; fetched as it grows if the task runs on another machine."""

    def __init__(self, objects: Objects, workspace: Workspace, service: str, number: int) -> None:
        self._objects = objects
        self._service = service
        self._number = number
        self._mirror = LogMirror(objects, ServiceKeys(service), number, workspace.event_log(service, number))

    def bring(self) -> bool:
        """Fetch new events of the log; return whether the task still runs.

        Raises:
            StoreError: the store is unreachable or refuses the request.
        """
        # Read the head first, otherwise segments written between the last fetch and the writer's end would be missed.
        found = head_now(self._objects, self._service)
        is_alive = found is not None and found.running == self._number
        if is_alive:
            self._mirror.fetch()
        elif not self._mirror.is_whole:
            self._mirror.fetch_rest()
        return is_alive

"""Keeps the local folder of a service as the copy of what is in the store: its state, its tasks' logs.

Every reader reads the local files, with a store as without one. What a task writes here itself is never overwritten
while it runs, nor while it is ahead of the store and nobody else has held the service since.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dtk.errors import DtkError, LockedError
from dtk.model.json_data import parse_json
from dtk.state.document import from_document
from dtk.state.files import replace_file
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
"""Logs that are fetched at the same time."""
_END_BYTES = 1 << 16
_END = b'"task.finished"'


@dataclass(frozen=True)
class Seen:
    """What this folder last read of a service's head. ``state`` is the key of the committed state's body.

    ``epoch`` is also that of the task that runs here, ``seen_at`` is UTC, RFC 3339.
    """

    epoch: int
    serial: int
    state: str
    last_task: int
    seen_at: str


def seen_of(workspace: Workspace, service: str) -> Seen | None:
    """Return what was last read of a service in the store, None where it never was."""
    try:
        return Seen(**json.loads(workspace.store_file(service).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def note_seen(workspace: Workspace, service: str, head: Head) -> None:
    """Note what the head of a service was just now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    seen = Seen(head.epoch, head.serial, head.state.key if head.state else "", head.last_task, now)
    replace_file(workspace.store_file(service), json.dumps(asdict(seen)) + "\n")


@dataclass(frozen=True)
class HeadNow:
    """A service's head as it was read; ``age`` is in seconds, by the store's clock."""

    head: Head
    age: float

    @property
    def running(self) -> int:
        """The task that runs, wherever; 0 where none does, or none that has given a sign of life in time."""
        lease = self.head.lease
        return lease.task if lease and is_held(self.head, self.age) else 0


def head_now(objects: Objects, service: str) -> HeadNow | None:
    """Return a service's head, None when the store does not know it; asks once.

    Raises:
        StoreError: the store can't be reached, or refuses.
    """
    key = ServiceKeys(service).head
    found = objects.get(key)
    return None if found is None else HeadNow(decode(found.data, key), found.age)


def bring_state(objects: Objects, workspace: Workspace, service: str, place: str) -> HeadNow | None:
    """Make the local state the committed one; return the service's head, None when the store does not know it.

    While somebody holds the service's lock on this machine the local files are left alone. ``place`` is the store as
    people read it.

    Raises:
        StoreError: the store can't be reached or refuses, the state in it is damaged, or the one here is not its copy.
    """
    found = head_now(objects, service)
    folder = workspace.service_folder(service)
    if holder(folder) is not None:
        return found
    if found is None:
        refuse_changed_store(workspace, service, place)
        return None
    # Another process may be reading as well, or a task may begin: it has the state.
    with suppress(LockedError), acquire(folder, "dtk (reading the store)", 0.0):
        refuse_strange(workspace, service, found.head, place)
        put_state(objects, workspace, service, found.head, place)
    return found


def refuse_strange(workspace: Workspace, service: str, head: Head | None, place: str) -> None:
    """Refuse a store for a service whose state here is not the store's: it would be lost, or its machines be made anew.

    Args:
        workspace: the workspace.
        service: the service.
        head: its head in the store, None where the store does not know it.
        place: the store as people read it.

    Raises:
        StrangeStateError: the state here is of another store, or was never in one.
    """
    local, seen = load_state(workspace.state_file(service)), seen_of(workspace, service)
    if local is None or not has_content(local) or _is_of(local, seen, head, place):
        return
    there = f"serial {head.serial}" if head and not head.destroyed else "nothing of it"
    here = f"the state of '{service}' here (serial {local.serial}, {len(local.nodes)} nodes)"
    if local.moved_to not in ("", place):
        raise StrangeStateError(
            f"{here} was read from {local.moved_to}, and dtk.yaml names {place}, which has {there}",
            hint=f"name the store before again; to change to this one, bring all here first: dtk state pull {service}",
        )
    force = " --force" if head and head.serial < local.serial else ""
    instead = f"; or give it up for the one in the store: dtk state pull {service}" if head else ""
    raise StrangeStateError(
        f"{here} is not in {place}, which has {there}",
        hint=f"put it there: dtk state push {service}{force}{instead}",
    )


def refuse_changed_store(workspace: Workspace, service: str, place: str) -> None:
    """Refuse a store without a service of which another store's copy is here; raises ``StrangeStateError``."""
    local = load_state(workspace.state_file(service))
    if local is not None and local.moved_to not in ("", place):
        refuse_strange(workspace, service, None, place)


def has_content(state: State) -> bool:
    """Say whether a state has anything to lose: one that was only staged has not."""
    return bool(state.nodes or state.last_task)


def _is_of(local: State, seen: Seen | None, head: Head | None, place: str) -> bool:
    """Say whether a state is a copy of what the store has or had, also under another name of the same store."""
    if head is None:
        return False
    is_same = local.lineage == head.lineage
    if seen is None:
        return is_same and local.serial == head.serial
    # Under its name a store may have a new service of the same name by now; one of another name may be an older copy.
    is_replaced = not head.destroyed and local.moved_to in ("", place)
    return (is_same or is_replaced) and head.epoch >= seen.epoch


def put_state(objects: Objects, workspace: Workspace, service: str, head: Head, place: str) -> None:
    """Write the committed state to the local folder, whose lock this process holds, where it is another one.

    ``place`` is noted in the copy as where the state is; "" for a folder that goes on by itself.

    Raises:
        StoreError: the store can't be reached or refuses, or the state in it is damaged.
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
    """Note in the local state of a service, whose lock this process holds, where it is kept; "" for here alone."""
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
    """Say whether the local state goes on from the committed one: a task here wrote it, and nobody else has since."""
    if local is None or seen is None:
        return False
    return seen.epoch == head.epoch and local.serial >= head.serial and local.lineage == head.lineage


def _write(file: Path, service: str, body: bytes, place: str) -> None:
    # First: its records go on from the snapshot that is replaced.
    journal_of(file).unlink(missing_ok=True)
    source = f"the state of '{service}' in the store"
    try:
        state = from_document(parse_json(body.decode("utf-8")), source)
    except ValueError as error:
        raise DamagedError(f"{source} is damaged: {error}") from None
    save_state(file, replace(state, moved_to=place))


def bring_logs(objects: Objects, workspace: Workspace, service: str, found: HeadNow) -> None:
    """Make the local logs of a service's tasks those in the store; a log that is here to its end is not asked for.

    Raises:
        StoreError: the store can't be reached, or refuses.
    """
    here, seen = holder(workspace.service_folder(service)), seen_of(workspace, service)
    is_last_here = seen is not None and seen.epoch == found.head.epoch

    def is_needed(number: int) -> bool:
        log = workspace.event_log(service, number)
        if is_whole(log) or (here is not None and here.task == number):
            return False
        # The last task was killed here: what it wrote last may not be in the store yet.
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
    """Say whether a log is here to its end: as the store has it, or as its task wrote it on this machine."""
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
    """A task's log that is followed from here; where it runs on another machine it is brought as it grows."""

    def __init__(self, objects: Objects, workspace: Workspace, service: str, number: int) -> None:
        self._objects = objects
        self._service = service
        self._number = number
        self._mirror = LogMirror(objects, ServiceKeys(service), number, workspace.event_log(service, number))

    def bring(self) -> bool:
        """Bring what is new of the log; return whether the task's writer lives.

        Raises:
            StoreError: the store can't be reached, or refuses.
        """
        # The head first: what a writer shipped between our last read and its end would be missing.
        found = head_now(self._objects, self._service)
        is_alive = found is not None and found.running == self._number
        if is_alive:
            self._mirror.fetch()
        elif not self._mirror.is_whole:
            self._mirror.fetch_rest()
        return is_alive

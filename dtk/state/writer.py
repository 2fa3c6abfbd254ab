"""The writer of a service's state: a task appends each of its changes to state.journal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dtk.disk.appended_file import AppendedFile, Sync
from dtk.disk.files import sync_file, sync_folder
from dtk.model.json_data import JsonObject
from dtk.state.change_record import change_record, has_change, settle_edits
from dtk.state.model import State
from dtk.state.portable import portable_record
from dtk.state.store import journal_of, save_state


class StateStore:
    """The only writer of a service's state: each change gets a new serial and is on disk when the call returns.

    The first change is written as a snapshot, so that an earlier writer's journal is folded in. Later changes are
    appended to the journal until ``write_snapshot``, which a task calls at its boundaries.
    """

    def __init__(self, path: Path, state: State, *, sync: Sync = sync_file) -> None:
        self._path = path
        self._sync = sync
        self._journal: StateJournal | None = None
        self.state = state

    def change(self, *changes: Callable[[State], State]) -> State:
        """Apply pure changes as one new version and write it.

        Others see the change at once, also while this call waits for the disk; what they change is on disk after it.

        Raises:
            OSError: it can't be written, and the state is as before; or it can't be synced, which is tried again with
                the next change.
        """
        changed = self.state
        for one in changes:
            changed = one(changed)
        changed = replace(changed, serial=self.state.serial + 1)
        record = change_record(self.state, changed)
        # The record knows the changed entries; a comparison goes through all of them.
        if not has_change(record) and replace(changed, serial=self.state.serial) == self.state:
            return self.state
        settle_edits(changed)
        if self._journal is None:
            save_state(self._path, changed)
            self._journal = StateJournal(journal_of(self._path), self._sync)
            self.state = changed
        else:
            wait_for_disk = self._journal.append(portable_record(record, self._path.parent))
            self.state = changed
            wait_for_disk()
        return changed

    def write_snapshot(self) -> None:
        """Fold the journal into state.json.

        Raises:
            OSError: it can't be written; the previous snapshot and the journal remain.
        """
        if self._journal is not None:
            self._journal.fold(lambda: save_state(self._path, self.state))


class StateJournal:
    """The journal of a service's only writer; it is made by its first record and removed when a snapshot has them."""

    def __init__(self, path: Path, sync: Sync = sync_file) -> None:
        self._path = path
        self._sync = sync
        self._file: AppendedFile | None = None

    def append(self, record: JsonObject) -> Callable[[], None]:
        """Append one record; return a function that waits until it is on disk.

        Raises:
            OSError: the record can't be written; no part of it remains in the journal. The returned function raises it
                when the record can't be synced; it is then synced with the next one.
        """
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        with _naming(self._path):
            if self._file is None:
                self._file = AppendedFile(self._path, flags=os.O_TRUNC, sync=self._sync)
                sync_folder(self._path.parent)
            wait = self._file.append(line)

        def wait_for_disk() -> None:
            with _naming(self._path):
                wait()

        return wait_for_disk

    def fold(self, write_snapshot: Callable[[], None]) -> None:
        """Write a snapshot that has all records, then remove the journal; do nothing if it has no record."""
        file = self._file
        if file is None:
            return
        with file.replaced():
            if self._file is file:  # else another call has folded it in meanwhile
                write_snapshot()
                self._path.unlink(missing_ok=True)
                self._file = None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in errors: those about a descriptor have no name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error

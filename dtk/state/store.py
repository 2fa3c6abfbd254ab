"""A service's state on disk: the snapshot state.json and the changes since in state.journal; one writer at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.json_data import parse_json
from dtk.state.document import from_document, to_document
from dtk.state.files import make_private_folder, replace_file, version_of
from dtk.state.identity import new_id
from dtk.state.journal import StateJournal, apply_record, change_record, read_lines, records_after
from dtk.state.model import State
from dtk.state.portable import made_local, made_portable, portable_record

KEPT_VERSIONS = 3


def new_state(service: str, lineage: str = "") -> State:
    """Return the first state of a service; its lineage is the service's id, or a new id if that is ""."""
    return State(service, lineage=lineage or new_id(), origin=new_id())


def load_state(path: Path) -> State | None:
    """Load the state from a snapshot and the journal beside it; None if there is no snapshot.

    Raises:
        DtkError: the state is damaged or of a newer format; the message names the kept versions.
    """
    journal = journal_of(path)
    lines = read_lines(journal)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise _broken(path, error) from None
    try:
        document = parse_json(text)
        if isinstance(document, dict):
            for record in records_after(document, lines, journal):
                apply_record(document, record)
        return made_local(from_document(document, str(path)), path.parent)
    except ValueError as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: ValueError) -> DtkError:
    kept = [str(older) for number in range(1, KEPT_VERSIONS + 1) if (older := version_of(path, number)).exists()]
    name = path.parent.name
    back = f"restore an earlier version: dtk state history {name} ({', '.join(kept)}); or " if kept else ""
    hint = f"{back}rebuild it from its tasks and machines: dtk state rebuild {name}"
    return DtkError(f"{path} is broken: {error}", hint=hint)


def save_state(path: Path, state: State) -> None:
    """Write a state's snapshot atomically; keep the previous versions as ``state.json.1`` to ``.3``.

    The journal beside it is removed afterwards; until then its records are older than the snapshot and skipped.

    Raises:
        OSError: the disk is full or the folder can't be written; the previous state remains.
    """
    make_private_folder(path.parent)
    replace_file(path, state_text(state, path.parent), keep_versions=KEPT_VERSIONS)
    journal_of(path).unlink(missing_ok=True)


def state_text(state: State, folder: Path) -> str:
    """Return a state as its snapshot's text, without paths of its local folder."""
    # Keep the order of keys: that of a hash is visible in files rendered from it.
    return json.dumps(to_document(made_portable(state, folder)), indent=2, ensure_ascii=False) + "\n"


def shared_text(state: State, folder: Path) -> str:
    """Return a state as stored in a shared store: like its snapshot's text, but without ``moved_to``."""
    return state_text(replace(state, moved_to=""), folder)


def journal_of(path: Path) -> Path:
    """Return the journal of a snapshot, ``state.journal`` of ``state.json``."""
    return path.with_suffix(".journal")


class StateStore:
    """The only writer of a service's state: each change gets a new serial and is on disk when the call returns.

    The first change is written as a snapshot, so that an earlier writer's journal is folded in. Later changes are
    appended to the journal until ``write_snapshot``, which a task calls at its boundaries.
    """

    def __init__(self, path: Path, state: State) -> None:
        self._path = path
        self._journal: StateJournal | None = None
        self.state = state

    def change(self, *changes: Callable[[State], State]) -> State:
        """Apply pure changes as one new version and write it.

        Raises:
            OSError: it can't be written; the state in memory still equals the one on disk.
        """
        changed = self.state
        for one in changes:
            changed = one(changed)
        if changed != self.state:
            changed = replace(changed, serial=self.state.serial + 1)
            if self._journal is None:
                self._journal = self._write(changed)
            else:
                self._journal.append(portable_record(change_record(self.state, changed), self._path.parent))
            self.state = changed
        return self.state

    def write_snapshot(self) -> None:
        """Fold the journal into state.json.

        Raises:
            OSError: it can't be written; the previous snapshot and the journal remain.
        """
        if self._journal is not None and not self._journal.is_empty:
            self._write(self.state)
            self._journal.remove()

    def _write(self, state: State) -> StateJournal:
        save_state(self._path, state)
        return StateJournal(journal_of(self._path))

"""A service's state on disk: the snapshot state.json and the changes since in state.journal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from dtk.disk.files import make_private_folder, replace_file, version_of
from dtk.errors import DtkError
from dtk.model.json_data import parse_json
from dtk.state.document import from_document, to_document
from dtk.state.identity import new_id
from dtk.state.journal import apply_record, read_lines, records_after
from dtk.state.model import State
from dtk.state.portable import made_local, made_portable

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

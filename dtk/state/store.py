"""state.json on disk: read, replaced in one step with its last versions kept, changed by one writer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dtk.errors import DtkError
from dtk.state.document import from_document, to_document
from dtk.state.files import make_private_folder, replace_file, version_of
from dtk.state.model import State

KEPT_VERSIONS = 3


def new_state(service: str) -> State:
    """Return the first state of a service, with a lineage of its own."""
    return State(service, lineage=str(uuid.uuid4()))


def load_state(path: Path) -> State | None:
    """Return the state that a file holds, None when there is no file.

    Raises:
        DtkError: it is broken or of a newer format; the message names the versions that are kept.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise _broken(path, error) from None
    try:
        return from_document(json.loads(text), str(path))
    except ValueError as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: ValueError) -> DtkError:
    kept = [str(older) for number in range(1, KEPT_VERSIONS + 1) if (older := version_of(path, number)).exists()]
    hint = f"earlier versions are kept: copy the newest good one back from {', '.join(kept)}" if kept else ""
    return DtkError(f"{path} is broken: {error}", hint=hint)


def save_state(path: Path, state: State) -> None:
    """Write a state in one step; the versions before it are kept as ``state.json.1`` to ``.3``.

    Raises:
        OSError: the disk is full or the folder can't be written; the state before stands.
    """
    make_private_folder(path.parent)
    # Keys keep their order: that of a hash is seen in the files that templates make of it.
    text = json.dumps(to_document(state), indent=2, ensure_ascii=False) + "\n"
    replace_file(path, text, keep_versions=KEPT_VERSIONS)


class StateStore:
    """The one writer of a service's state: every change has a serial of its own and is on disk when it returns."""

    def __init__(self, path: Path, state: State) -> None:
        self._path = path
        self.state = state

    def change(self, *changes: Callable[[State], State]) -> State:
        """Apply pure changes as one new version and write it.

        Raises:
            OSError: it can't be written; the state in memory stays what is on disk.
        """
        changed = self.state
        for one in changes:
            changed = one(changed)
        if changed != self.state:
            changed = replace(changed, serial=self.state.serial + 1)
            save_state(self._path, changed)
            self.state = changed
        return self.state

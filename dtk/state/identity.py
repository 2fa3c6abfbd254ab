"""Identities that leave this machine: a workspace's id, and the short form of a service's lineage."""

from __future__ import annotations

import hashlib
import platform

from dtk.state.files import make_private_folder, write_new
from dtk.state.workspace import Workspace

_LENGTH = 16
_SHORT_LINEAGE = 8


def workspace_id(workspace: Workspace) -> str:
    """Return a workspace's id, made when it is first asked for and kept in ``.dtk/workspace-id``.

    It is made from the machine's name and the folder, so that a workspace whose ``.dtk`` was lost gets the same again
    and can still find what is its own.
    """
    file = workspace.local / "workspace-id"
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        pass
    made = hashlib.sha256(f"{platform.node()}:{workspace.root.resolve()}".encode()).hexdigest()[:_LENGTH]
    make_private_folder(workspace.local)
    try:
        write_new(file, f"{made}\n")
    except FileExistsError:
        return file.read_text(encoding="utf-8").strip()
    return made


def short_lineage(lineage: str) -> str:
    """Return as much of a service's lineage as tells services of one name apart: in names at AWS and of processes."""
    return lineage[:_SHORT_LINEAGE]

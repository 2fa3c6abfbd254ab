"""Which workspace and which service something belongs to: ids in the committed files, the same in every clone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from dtk.state.workspace import Workspace

_SHORT_LINEAGE = 8


@dataclass(frozen=True)
class Identity:
    """The ids of a workspace (dtk.yaml) and of a service (service.yaml); the service's is the lineage of its state."""

    workspace: str
    service: str


def new_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid.uuid4())


def earlier_workspace_id(workspace: Workspace) -> str:
    """Return the id that an earlier dtk kept in ``.dtk/workspace-id`` and tagged machines with; "" where none did."""
    try:
        return (workspace.local / "workspace-id").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def short_lineage(lineage: str) -> str:
    """Return as much of a service's lineage as tells services of one name apart: in names at AWS and of processes."""
    return lineage[:_SHORT_LINEAGE]

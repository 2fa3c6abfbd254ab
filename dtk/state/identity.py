"""Ids of workspaces and services in committed files, the same in every clone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from dtk.state.workspace import Workspace

_SHORT_LINEAGE = 8


@dataclass(frozen=True)
class Identity:
    """The ids of a workspace (dtk.yaml) and a service (service.yaml); the service's id is the lineage of its state."""

    workspace: str
    service: str


def new_id() -> str:
    """Return a new unique id."""
    return str(uuid.uuid4())


def earlier_workspace_id(workspace: Workspace) -> str:
    """Return the id that an earlier dtk kept in ``.dtk/workspace-id`` and used in machine tags; "" if there is none."""
    try:
        return (workspace.local / "workspace-id").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def short_lineage(lineage: str) -> str:
    """Return a short lineage that distinguishes services of the same name, for AWS resource names and process names."""
    return lineage[:_SHORT_LINEAGE]

"""The ids of a service and a workspace: read from the committed files, and added to them if missing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.edit import set_key
from dtk.errors import DtkError, InvalidError, Location, Problem
from dtk.model.service import Service
from dtk.state.identity import Identity, earlier_workspace_id, new_id
from dtk.state.model import State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class FoundIdentity:
    """The ids of a workspace and a service; ``missing`` names those that the files do not have yet."""

    identity: Identity
    missing: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether the service has just got its id, so that nothing existing can carry it."""
        return _SERVICE in self.missing


_WORKSPACE, _SERVICE = "workspace", "id"


def find_identity(workspace: Workspace, name: str) -> FoundIdentity:
    """Return the ids of a workspace and a service, new ones if they have none; write nothing.

    A service whose state is older than ids gets the state's lineage; a workspace gets the id that its machines carry.

    Raises:
        InvalidError: dtk.yaml or service.yaml is invalid.
    """
    given = (
        load_workspace(workspace.file, workspace.root).id,
        load_service(workspace.service_file(name), workspace.root).id,
    )
    state = load_state(workspace.state_file(name))
    lineage = state.lineage if state and _ID.fullmatch(state.lineage) else ""
    ids = Identity(given[0] or earlier_workspace_id(workspace) or new_id(), given[1] or lineage or new_id())
    missing = [key for key, value in zip((_WORKSPACE, _SERVICE), given, strict=True) if not value]
    return FoundIdentity(ids, tuple(missing))


def write_identity(workspace: Workspace, name: str, found: FoundIdentity) -> list[str]:
    """Write the missing ids into dtk.yaml and service.yaml; preserve comments and order.

    Returns:
        The changed files, relative to the workspace, to be committed.

    Raises:
        DtkError: a file can't be written; the message says which line to add by hand.
    """
    lines = {
        _WORKSPACE: (workspace.file, found.identity.workspace, "format_version"),
        _SERVICE: (workspace.service_file(name), found.identity.service, "service"),
    }
    changed = []
    for key in found.missing:
        file, value, after = lines[key]
        shown = str(file.relative_to(workspace.root))
        try:
            set_key(file, key, value, after=after)
        except (OSError, DtkError) as error:
            reason = error.message if isinstance(error, DtkError) else error.strerror
            hint = f"add the line yourself and commit it: {key}: {value}"
            raise DtkError(f"{shown} needs an id, which can't be written there: {reason}", hint=hint) from None
        changed.append(shown)
    return changed


def state_before_id(workspace: Workspace, name: str) -> str:
    """Return the lineage of an existing state with nodes, for a service that is staged again; "" if there is none."""
    state = load_state(workspace.state_file(name))
    return state.lineage if state and state.nodes and _ID.fullmatch(state.lineage) else ""


def check_id(workspace: Workspace, service: Service) -> None:
    """Refuse a service with the same id as another one of the workspace: one is a copy of the other.

    Raises:
        InvalidError: names both services and what to do.
    """
    if not service.id:
        return
    # A text search, because parsing the files of all services would slow down every command.
    written = re.compile(rf"""(?:^|[\s{{,"'])id["']?\s*:\s*["']?{re.escape(service.id)}""", re.MULTILINE)
    for name in workspace.service_names():
        if name != service.name and written.search(_text(workspace.service_file(name))):
            file = workspace.service_file(service.name)
            text = _text(file)
            found = written.search(text)
            line = text.count("\n", 0, found.end()) + 1 if found else 1
            problem = Problem(f"'{name}' has this id, too", Location(str(file.relative_to(workspace.root)), line, 1))
            raise InvalidError(
                f"services '{service.name}' and '{name}' have the same id: one is a copy of the other",
                [problem],
                hint="delete the line 'id:' in the copy's service.yaml; dtk writes a new one",
            )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def state_of_service(workspace: Workspace, service: Service) -> State:
    """Return the local state of a service, or an empty one if there is none.

    Raises:
        InvalidError: the state has nodes of another service that had the same name.
    """
    state = load_state(workspace.state_file(service.name))
    if state is None:
        return State(service.name, service.id)
    if not service.id or state.lineage == service.id:
        return state
    # A state without nodes has nothing to lose; keep the number of its last task, so that task folders don't collide.
    if not state.nodes:
        return State(service.name, service.id, last_task=state.last_task)
    folder = workspace.service_folder(service.name).relative_to(workspace.root)
    raise InvalidError(
        f"service '{service.name}' has id {service.id}, but the state here is of an earlier service with this name"
        f" (id {state.lineage}, {len(state.nodes)} nodes)",
        hint=f"if that service's nodes no longer exist, move its state away: mv {folder} {folder}.old;"
        f" otherwise, first check out the commit whose service.yaml has that id, and destroy the service there",
    )

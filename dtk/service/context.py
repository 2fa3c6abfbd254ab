"""What every command needs first: the workspace and the service, with its state updated from the store."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dtk.errors import Problem, UsageError
from dtk.model.suggestion import nearest
from dtk.service.global_options import settings
from dtk.service.shared_store import read_logs, read_state
from dtk.state.workspace import WORKSPACE_FILE, Workspace, find_workspace

_NAME = re.compile(r"[a-z][a-z0-9-]*")
"""A service's name; it becomes part of a path."""


def current_workspace() -> Workspace:
    """Return the workspace of ``--workspace``, or the one that contains the current folder.

    Raises:
        UsageError: there is none.
    """
    given = settings().workspace
    return _workspace_at(given) if given else find_workspace(Path.cwd())


def _workspace_at(given: Path) -> Workspace:
    if not (given / WORKSPACE_FILE).is_file():
        raise UsageError(f"no {WORKSPACE_FILE} in {given}", hint=f"create a workspace there: dtk init {given}")
    return Workspace(given.resolve())


def chosen_service(workspace: Workspace, given: str | None) -> str:
    """Return the name of the service to use: the given one, else DTK_SERVICE, else the workspace's only one.

    If the workspace has a store, the service's local state is updated from it.

    Raises:
        UsageError: the service does not exist, or there is none or more than one to choose from.
        StoreError: the store can't be read, and this machine never read the service from it.
    """
    name = named_service(workspace, given)
    read_state(workspace, name)
    return name


def chosen_with_logs(workspace: Workspace, given: str | None) -> str:
    """Return the name of the service to use for reading logs; it may be destroyed, because its logs stay.

    Raises:
        UsageError: there is no such service, and no log of one.
        StoreError: the store can't be read, and this machine never read the service from it.
    """
    if given and _NAME.fullmatch(given) and given not in workspace.service_names():
        read_logs(workspace, given)
        if workspace.task_numbers(given):
            return given
    return chosen_service(workspace, given)


def chosen_with_machines(workspace: Workspace, given: str | None) -> str:
    """Return the name of the service to use for work on its machines; a state without service.yaml is enough.

    Raises:
        UsageError: there is neither.
        StoreError: the store can't be read, and this machine never read the service from it.
    """
    if given and given not in workspace.service_names() and given in workspace.names_with_state():
        read_state(workspace, given)
        return given
    return chosen_service(workspace, given)


def named_service(workspace: Workspace, given: str | None) -> str:
    """Return the name of the service to use, as ``chosen_service`` does, without updating anything from the store.

    Raises:
        UsageError: the service does not exist, or there is none or more than one to choose from.
    """
    names = workspace.service_names()
    name = given or os.environ.get("DTK_SERVICE", "")
    if name in names:
        return name
    if name:
        raise UsageError(_unknown(name, names), hint="dtk ls")
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError("this workspace has no service", hint="dtk list-assemblies, then dtk stage ASSEMBLY NAME")
    raise UsageError(f"this workspace has several services: {', '.join(names)}", hint="name one, or set DTK_SERVICE")


def _unknown(name: str, names: list[str]) -> str:
    return Problem(f"no service '{name}' in this workspace", nearest=nearest(name, names)).description

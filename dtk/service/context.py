"""What every command needs first: the global options, the workspace and the service meant."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from dtk.apply.removal import clear_removed
from dtk.errors import UsageError
from dtk.model.suggestion import nearest
from dtk.state.workspace import WORKSPACE_FILE, Workspace, find_workspace


@dataclass(frozen=True)
class Settings:
    """The global options as given."""

    workspace: Path | None = None
    no_color: bool = False


_settings: ContextVar[Settings] = ContextVar("settings", default=Settings())  # noqa: B039 - Settings is frozen


def remember(given: Settings) -> None:
    """Keep the global options for the command that runs."""
    _settings.set(given)


def settings() -> Settings:
    """Return the global options of the command that runs."""
    return _settings.get()


def current_workspace() -> Workspace:
    """Return the workspace of ``--workspace``, else the one the current folder lies in.

    Raises:
        UsageError: there is none.
    """
    given = settings().workspace
    workspace = _workspace_at(given) if given else find_workspace(Path.cwd())
    clear_removed(workspace)
    return workspace


def _workspace_at(given: Path) -> Workspace:
    if not (given / WORKSPACE_FILE).is_file():
        raise UsageError(f"no {WORKSPACE_FILE} in {given}", hint=f"make a workspace there: dtk init {given}")
    return Workspace(given.resolve())


def chosen_service(workspace: Workspace, given: str | None) -> str:
    """Return the service meant: the one given, else DTK_SERVICE, else the workspace's only one.

    Raises:
        UsageError: it does not exist, or there is none or more than one to choose from.
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
        raise UsageError(
            "there is no service in this workspace", hint="dtk list-assemblies, then dtk stage ASSEMBLY NAME"
        )
    raise UsageError(f"which service? there are {', '.join(names)}", hint="name one, or set DTK_SERVICE")


def _unknown(name: str, names: list[str]) -> str:
    near = nearest(name, names)
    similar = f"; did you mean '{near}'?" if near else ""
    return f"no service '{name}' in this workspace{similar}"

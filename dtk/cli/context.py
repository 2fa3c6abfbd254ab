"""What every command needs first: the workspace, the service meant, the way to print."""

from __future__ import annotations

import json
import os
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from dtk.errors import DtkError, UsageError
from dtk.state.files import replace_file
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


def use_color() -> bool:
    """Say whether output may be coloured: a terminal that can, and nobody who said no."""
    plain = settings().no_color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def current_workspace() -> Workspace:
    """Return the workspace of ``--workspace``, else the one the current folder lies in.

    Raises:
        UsageError: there is none.
    """
    given = settings().workspace
    if given is None:
        return find_workspace(Path.cwd())
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
    import difflib  # noqa: PLC0415 - only for the mistake

    near = difflib.get_close_matches(name, names, n=1)
    similar = f"; did you mean '{near[0]}'?" if near else ""
    return f"no service '{name}' in this workspace{similar}"


def print_json(value: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def shown_path(path: Path) -> str:
    """Return a path as people would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def write_file(path: Path, text: str) -> None:
    """Write a file that a command was asked for, in one step; ``-`` is standard output.

    A device or a pipe (``/dev/stdout``) is written to: it must not be replaced by a file.

    Raises:
        DtkError: it can't be written.
    """
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    try:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_text(text, encoding="utf-8")
        else:
            replace_file(path, text)
    except OSError as error:
        raise DtkError(f"{path} can't be written: {error.strerror}") from error

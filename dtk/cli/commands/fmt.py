"""``dtk fmt``: formats YAML documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.output import shown_path
from dtk.disk.files import replace_file
from dtk.errors import DtkError, UsageError
from dtk.service.context import current_workspace
from dtk.state.workspace import Workspace

_PATTERNS = (
    "dtk.yaml",
    "modules/*/*/dtk.module.yaml",
    "modules/*/*/assemblies/*.dtk.assembly.yaml",
    "modules/*/*/tests/*/*.yaml",
    "services/*/service.yaml",
)
_NAMES = ("dtk.yaml", "dtk.module.yaml", "*.dtk.assembly.yaml", "tests/*/*.yaml", "service.yaml")
"""Documents of workspaces, modules and services, wherever a given folder has them."""


def fmt(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE|FOLDER]...",
            help="Documents, or folders of them. Default: every document of the workspace.",
            exists=True,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if a document would change.")
    ] = False,
) -> None:
    """Format YAML documents; keep comments, order and quotes.

    Example: dtk fmt --check modules/acme/web
    """
    from dtk.dsl.yaml.document import read_text  # noqa: PLC0415 - as the next one
    from dtk.dsl.yaml.formatting import formatted  # noqa: PLC0415 - the YAML parser

    changed = []
    for file in _below(files) if files else _documents(current_workspace()):
        text = read_text(file, shown_path(file))
        made = formatted(text, shown_path(file))
        if made != text:
            changed.append(file)
            if not check:
                mode = file.stat().st_mode & 0o777
                replace_file(file.resolve(), made)
                file.chmod(mode)
    for file in changed:
        typer.echo(f"{'Would format' if check else 'Formatted'} {shown_path(file)}")
    if check and changed:
        raise typer.Exit(DtkError.exit_code)


def _documents(workspace: Workspace) -> list[Path]:
    return [file for pattern in _PATTERNS for file in sorted(workspace.root.glob(pattern))]


def _below(paths: list[Path]) -> list[Path]:
    """Return files as they are, and the documents below folders, except those in hidden folders."""
    found: dict[Path, None] = {}
    for path in paths:
        documents = [path] if path.is_file() else [file for name in _NAMES for file in sorted(path.rglob(name))]
        shown = [file for file in documents if not any(part.startswith(".") for part in file.relative_to(path).parts)]
        if not shown:
            raise UsageError(f"{shown_path(path)} has no document of dtk", hint="name a module, a service or a file")
        found |= dict.fromkeys(shown)
    return list(found)

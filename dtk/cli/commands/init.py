"""``dtk init``: creates a workspace in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.output import shown_path
from dtk.errors import UsageError
from dtk.service.global_options import settings
from dtk.state.workspace import Workspace

GITIGNORE = ".dtk/\n"


def init(
    folder: Annotated[
        Path | None, typer.Argument(help="The folder that becomes a workspace. Default: --workspace, or this one.")
    ] = None,
) -> None:
    """Create a workspace in a folder.

    Writes dtk.yaml, modules/, services/ and a .gitignore for .dtk/. Example: dtk init my-services
    """
    from dtk.dsl.yaml.edit import new_workspace  # noqa: PLC0415 - ruamel.yaml, not needed by dtk version
    from dtk.dsl.yaml.modeline import modeline, provide_schemas  # noqa: PLC0415 - as below
    from dtk.state.identity import new_id  # noqa: PLC0415 - as below

    workspace = Workspace((folder or settings().workspace or Path()).resolve())
    if workspace.file.exists():
        raise UsageError(f"{shown_path(workspace.file)} exists already: this is a workspace", hint="dtk ls")
    for path in (workspace.modules, workspace.services):
        path.mkdir(parents=True, exist_ok=True)
    new_workspace(workspace.file, modeline("workspace", workspace.file, workspace), new_id())
    provide_schemas(workspace)
    _ignore_local_state(workspace.root / ".gitignore")
    typer.echo(f"Created a workspace in {workspace.root}")
    typer.echo("next: dtk list-assemblies, then dtk stage ASSEMBLY NAME")


def _ignore_local_state(file: Path) -> None:
    content = file.read_text() if file.exists() else ""
    if GITIGNORE.strip() not in content.split():
        file.write_text(content + GITIGNORE)

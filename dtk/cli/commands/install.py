"""``dtk install``: installs modules from git repositories and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.errors import UsageError
from dtk.service.context import current_workspace
from dtk.state.edit_lock import editing
from dtk.state.workspace import Workspace


def install(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE[@REF]]",
            help="A git URL (https, ssh, file, user@host:path) or a folder; a tag, branch or commit of it. "
            "Default: the modules in dtk.yaml, at the commits in dtk.lock.",
        ),
    ] = None,
    path: Annotated[
        str, typer.Option("--path", metavar="SUBDIR", help="Install only the modules in this folder of the source.")
    ] = "",
    locked: Annotated[
        bool, typer.Option("--locked", help="Change nothing; fail if dtk.yaml, dtk.lock and the sources differ.")
    ] = False,
) -> None:
    """Install modules from a git repository or a folder, and the modules they need.

    Writes dtk.yaml and dtk.lock; commit both. Example: dtk install https://git.example.com/bigtop.git@v1.2 --path spark
    """
    from dtk.sources import install as work  # noqa: PLC0415 - the YAML parser and the schemas, only when used

    workspace = current_workspace()
    if locked and source:
        raise UsageError("--locked installs the commits in dtk.lock and cannot be used with a SOURCE")
    if path and not source:
        raise UsageError("--path needs a SOURCE: it names a folder of that source")
    if source:
        _refuse_built_in(workspace, source)
    with editing(workspace.file):
        if locked:
            names = work.install_locked(workspace, typer.echo)
        elif source:
            names = work.install(workspace, source, path, typer.echo)
        else:
            names = work.install_all(workspace, typer.echo)
    if not names:
        typer.echo("Nothing to install: neither dtk.yaml nor the modules of this workspace name other modules")


def _refuse_built_in(workspace: Workspace, source: str) -> None:
    """Tell the user that a module comes with dtk, instead of looking for a host with its name."""
    from dtk.dsl.catalog import load_catalog  # noqa: PLC0415 - the YAML parser, only when used

    name = source.replace(":", "/", 1)
    if Path(source).exists() or name not in load_catalog(workspace).names():
        return
    module = load_catalog(workspace).find(name)
    assembly = next((f"dtk stage {source}/{one} NAME" for one in module.assemblies), f"dtk info {source}")
    raise UsageError(f"module '{source}' is already available: nothing to install", hint=assembly)

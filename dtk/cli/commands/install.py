"""``dtk install``, ``dtk update`` and ``dtk uninstall``: modules from elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.model.names import module_name
from dtk.service.context import current_workspace


def install(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE[@REF]]",
            help="A git URL (https, ssh, file, user@host:path) or a folder; a tag, branch or commit of it. "
            "Without it: what dtk.yaml names, as dtk.lock pins it.",
        ),
    ] = None,
    path: Annotated[str, typer.Option("--path", metavar="SUBDIR", help="Only the modules in this folder of it.")] = "",
    locked: Annotated[
        bool, typer.Option("--locked", help="Change nothing: fail when dtk.yaml, dtk.lock and the sources differ.")
    ] = False,
) -> None:
    """Install modules from a git repository or a folder, and the modules they need.

    Writes dtk.yaml and dtk.lock; commit both. Example: dtk install https://git.example.com/bigtop.git@v1.2 --path spark
    """
    from dtk.sources import install as work  # noqa: PLC0415 - the YAML parser and the schemas, only when used

    workspace = current_workspace()
    if locked and source:
        raise UsageError("--locked installs what dtk.lock says, and takes no SOURCE")
    if path and not source:
        raise UsageError("--path is a folder of a SOURCE")
    if locked:
        names = work.install_locked(workspace, typer.echo)
    elif source:
        names = work.install(workspace, source, path, typer.echo)
    else:
        names = work.install_all(workspace, typer.echo)
    if not names:
        typer.echo("Nothing to install: dtk.yaml names no modules, and this workspace's own need none")


def update(
    module: Annotated[str | None, typer.Argument(metavar="[MODULE]", help="Only this one, as ns:name.")] = None,
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="Move MODULE to this tag, branch or commit.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move installed modules to what their refs are now, and show what changes.

    Shows commits, and components and attributes that are added, removed or retyped. Example: dtk update bigtop:spark
    """
    from dtk.sources.update import update as work  # noqa: PLC0415 - the YAML parser and the schemas, only when used

    if ref and not module:
        raise UsageError("--ref is for one module: name it")
    changes = work(current_workspace(), _full(module) if module else "", ref, write=not dry_run)
    if as_json:
        print_json([change.document() for change in changes])
        return
    for change in changes:
        typer.echo("\n".join(change.lines()))
    if not changes:
        typer.echo("Everything is up to date")


def uninstall(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="The module, as ns:name.")],
) -> None:
    """Remove an installed module, and what only it needed.

    Refused while a module or a service uses it. Example: dtk uninstall bigtop:spark
    """
    from dtk.sources.install import uninstall as work  # noqa: PLC0415 - the YAML parser and the schemas

    work(current_workspace(), _full(module), typer.echo)


def _full(name: str) -> str:
    full = module_name(name)
    if full is None:
        raise UsageError(f"'{name}' is not a module's name", hint="write it as ns:name")
    return full

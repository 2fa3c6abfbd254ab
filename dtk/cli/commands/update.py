"""``dtk update``: updates installed modules to the latest commits of their refs."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.service.context import current_workspace
from dtk.service.lookup import checked_module_name
from dtk.state.edit_lock import editing


def update(
    module: Annotated[str | None, typer.Argument(metavar="[MODULE]", help="Only this module (ns:name).")] = None,
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="Move MODULE to this tag, branch or commit.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Update installed modules to the latest commits of their refs, and show the changes.

    Shows commits, and components and attributes that are added, removed or retyped. Example: dtk update bigtop:spark
    """
    from dtk.sources.update import update as work  # noqa: PLC0415 - the YAML parser and the schemas, only when used

    if ref and not module:
        raise UsageError("--ref is for one module: name it")
    workspace = current_workspace()
    with editing(workspace.file):
        changes = work(workspace, checked_module_name(module) if module else "", ref, write=not dry_run)
    if as_json:
        print_json([change.document() for change in changes])
        return
    for change in changes:
        typer.echo("\n".join(change.lines()))
    if not changes:
        typer.echo("Everything is up to date")

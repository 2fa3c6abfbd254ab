"""``dtk list-nodes --orphans``: lists, adopts or terminates machines that no state knows."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json
from dtk.cli.passphrases import ask_passphrases_of
from dtk.cli.running import confirm
from dtk.dsl.workspace import load_workspace
from dtk.service.context import current_workspace
from dtk.service.orphans import Orphan, adopt_orphan, find_orphans, terminate_orphans
from dtk.views.listing_table import format_table, stable_id


def show_orphans(*, adopt: bool, terminate: bool, yes: bool, as_json: bool) -> None:
    """List the orphans of the workspace, and adopt or terminate them if requested."""
    workspace = current_workspace()
    for target in load_workspace(workspace.file, workspace.root).targets.values():
        ask_passphrases_of(target, workspace)
    found = find_orphans(workspace, lambda text: typer.echo(f"warning: {text}", err=True))
    if as_json:
        print_json([_row(orphan) for orphan in found])
    else:
        headers = ["id", "target", "service", "node", "instance_id", "op_status"]
        rows = [[stable_id(orphan.machine.id), *_row(orphan).values()] for orphan in found]
        typer.echo(format_table(headers, rows), nl=False)
    if adopt:
        for orphan in found:
            adopt_orphan(workspace, orphan)
            machine = orphan.machine
            typer.echo(f"{machine.id} is {machine.node} of '{machine.service}' now")
        for service in sorted({orphan.machine.service for orphan in found}):
            typer.echo(f"What is applied on them is not known here: dtk apply {service} verifies it,")
            typer.echo(f"and changes nothing where everything is in place; next: dtk plan {service}")
    if terminate and found:
        if not yes:
            confirm(f"Terminate {len(found)} instances for good?")
        terminate_orphans(found)
        typer.echo(f"{len(found)} terminated.")


def _row(orphan: Orphan) -> dict[str, str]:
    machine = orphan.machine
    return {
        "target": orphan.target.name,
        "service": machine.service,
        "node": machine.node,
        "instance_id": machine.id,
        "op_status": machine.state,
    }

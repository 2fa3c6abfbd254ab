"""``dtk list-nodes --orphans``: lists, adopts or terminates machines that no state knows."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from dtk.cli.output import print_json
from dtk.cli.passphrases import ask_passphrases_of
from dtk.cli.running import confirm
from dtk.dsl.workspace import load_workspace
from dtk.nodes.provider import MarkSearch
from dtk.service.context import current_workspace
from dtk.service.orphans import Orphan, adopt_orphans, find_orphans, own_id, terminate_orphans
from dtk.views.listing_table import format_table, stable_id, status_text

_HEADERS = ("id", "target", "service", "node", "instance_id", "op_status")
_HEADERS_OF_ANY = (*_HEADERS, "workspace", "lineage")


def show_orphans(search: MarkSearch | None, *, adopt: bool, terminate: bool, yes: bool, as_json: bool) -> None:
    """List the orphans of the workspace, or those that a search finds; adopt or terminate them if requested."""
    workspace = current_workspace()
    for target in load_workspace(workspace.file, workspace.root).targets.values():
        ask_passphrases_of(target, workspace)
    found = find_orphans(workspace, search, lambda text: typer.echo(f"warning: {text}", err=True))
    if as_json:
        print_json([_row(orphan) for orphan in found])
    else:
        headers = _HEADERS if search is None else _HEADERS_OF_ANY
        typer.echo(format_table(headers, (_cells(orphan, headers) for orphan in found)), nl=False)
    if adopt:
        others = [orphan for orphan in found if orphan.machine.workspace != own_id(workspace)]
        if others and not yes:
            confirm(f"Adopt {len(others)} instances of another workspace, which can't work on them any more?")
        for machine in (orphan.machine for orphan in adopt_orphans(workspace, found)):
            typer.echo(f"adopted {machine.id} as {machine.node} of '{machine.service}'")
        for service in sorted({orphan.machine.service for orphan in found}):
            typer.echo(
                f"The state does not say what is applied on these nodes of '{service}'. dtk apply {service} checks it"
            )
            typer.echo(f"and changes only what differs; next: dtk plan {service}")
    if terminate and found:
        if not yes:
            asked = _counted(found, "terminate {} instances for good", "release {} that dtk did not create")
            confirm(f"{asked[0].upper()}{asked[1:]}?")
        terminate_orphans(found)
        typer.echo(f"{_counted(found, '{} terminated', '{} released')}.")


def _counted(found: Sequence[Orphan], of_created: str, of_adopted: str) -> str:
    """Return texts with the numbers of the machines that dtk created and of those that it adopted; neither is 0."""
    adopted = sum(orphan.machine.is_adopted for orphan in found)
    counts = ((of_created, len(found) - adopted), (of_adopted, adopted))
    return ", ".join(text.format(count) for text, count in counts if count)


def _cells(orphan: Orphan, headers: Sequence[str]) -> list[str]:
    row, machine = _row(orphan), orphan.machine
    row["op_status"] = status_text(machine.state, is_adopted=machine.is_adopted)
    return [stable_id(machine.id), *(str(row[header]) for header in headers[1:])]


def _row(orphan: Orphan) -> dict[str, str | bool]:
    machine = orphan.machine
    return {
        "target": orphan.target.name,
        "service": machine.service,
        "node": machine.node,
        "instance_id": machine.id,
        "op_status": machine.state,
        "adopted": machine.is_adopted,
        "workspace": machine.workspace,
        "lineage": machine.lineage,
    }

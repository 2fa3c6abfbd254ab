"""``dtk list-links``, and the components of a service: what depends on what, and what satisfies it."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.plan.resolve.service import ComponentRow, component_rows, link_rows
from dtk.service.inspected import declared_node, read_service
from dtk.views.listing import format_table


def list_links(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List the links between a service's components.

    One that leads nowhere has a blank cell.

    Example: dtk list-links dask1
    """
    _, found = read_service(service)
    rows = link_rows(found)
    if as_json:
        print_json(
            [
                {"base_component": r.base, "type": r.name, "required": r.required, "satisfied_by": list(r.satisfied_by)}
                for r in rows
            ]
        )
        return
    table = [[i, row.base, row.name, ", ".join(row.satisfied_by)] for i, row in enumerate(rows, start=1)]
    typer.echo(format_table(["id", "base_component", "type", "satisfied_by"], table), nl=False)


def list_service_components(service: str | None, node: str | None, *, dependencies: bool, as_json: bool) -> None:
    """Print the components of a service: a row for each node or group, further dependencies on rows below."""
    _, found = read_service(service)
    wanted = declared_node(found, node) if node else None
    rows = [row for row in component_rows(found) if wanted is None or row.node == wanted]
    if as_json:
        print_json([_document(row) for row in rows])
    elif dependencies:
        cells = [cell for index, row in enumerate(rows, start=1) for cell in _with_dependencies(index, row)]
        typer.echo(format_table(["id", "name", "depends_on", "satisfied_by"], cells), nl=False)
    else:
        typer.echo(format_table(["id", "name"], [[i, row.path] for i, row in enumerate(rows, start=1)]), nl=False)


def _with_dependencies(index: int, row: ComponentRow) -> list[list[str]]:
    (first, *others) = row.dependencies or (("", ""),)
    return [[str(index), row.path, *first], *[["", "", *other] for other in others]]


def _document(row: ComponentRow) -> dict[str, object]:
    return {
        "component": row.path,
        "type": row.type,
        "module": row.module,
        "added": row.added,
        "dependencies": [{"depends_on": name, "satisfied_by": by} for name, by in row.dependencies],
    }

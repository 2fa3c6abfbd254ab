"""``dtk list-components``: the components of a service or of a module."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.dsl.catalog import load_catalog
from dtk.errors import UsageError
from dtk.plan.resolve.rows import ComponentRow, component_rows
from dtk.service.context import current_workspace
from dtk.service.lookup import declared_node, means_module, read_service
from dtk.views.listing_table import format_table, stable_id

NodeOption = Annotated[str | None, typer.Option("--node", "-n", metavar="NODE", help="Only this node's or group's.")]


DepsOption = Annotated[
    bool, typer.Option("--deps", "-l", help="Show dependencies and the components that satisfy them.")
]


def list_components(
    what: Annotated[
        str | None, typer.Argument(metavar="[SERVICE|MODULE]", help="A service; or a module, as ns:name.")
    ] = None,
    node: NodeOption = None,
    dependencies: DepsOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the components of a service or of a module.

    Example: dtk list-components dask1 --deps
    """
    if what and means_module(what):
        if node or dependencies:
            raise UsageError("--node and --deps are for services", hint=f"dtk info {what}")
        _list_of_module(what, as_json=as_json)
        return
    _list_of_service(what, node, dependencies=dependencies, as_json=as_json)


def _list_of_module(module: str, *, as_json: bool) -> None:
    """Print the components that a module defines."""
    found = load_catalog(current_workspace()).find(module)
    components = list(found.components.values())
    if as_json:
        print_json(
            [{"component": c.type, "description": c.description, "actions": list(c.actions)} for c in components]
        )
        return
    rows = [[stable_id(component.type), component.type] for component in components]
    typer.echo(format_table(["id", "name"], rows), nl=False)


def _list_of_service(service: str | None, node: str | None, *, dependencies: bool, as_json: bool) -> None:
    """Print the components of a service: a row per node or group, and a row below for each further dependency."""
    _, found = read_service(service)
    group = declared_node(found, node) if node else None
    rows = [row for row in component_rows(found) if group is None or row.node == group]
    if as_json:
        print_json([_document(row) for row in rows])
    elif dependencies:
        cells = [cell for row in rows for cell in _with_dependencies(row)]
        typer.echo(format_table(["id", "name", "depends_on", "satisfied_by"], cells), nl=False)
    else:
        typer.echo(format_table(["id", "name"], [[stable_id(row.path), row.path] for row in rows]), nl=False)


def _with_dependencies(row: ComponentRow) -> list[list[str]]:
    (first, *others) = row.dependencies or (("", ""),)
    return [[stable_id(row.path), row.path, *first], *[["", "", *other] for other in others]]


def _document(row: ComponentRow) -> dict[str, object]:
    return {
        "component": row.path,
        "type": row.type,
        "module": row.module,
        "added": row.added,
        "dependencies": [{"depends_on": name, "satisfied_by": by} for name, by in row.dependencies],
    }

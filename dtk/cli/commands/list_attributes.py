"""``dtk list-attributes``: every attribute of a service, as a table or as YAML."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dtk.cli.options import AttributeOption, ComponentOption, JsonOption, NodeOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.model.json_data import Json
from dtk.plan.resolve.rows import AttributeRow, attribute_rows
from dtk.service.attribute_rows import filtered
from dtk.service.lookup import read_service
from dtk.views.attribute_text import REQUIRED, rows_yaml, value_cell
from dtk.views.listing_table import format_table, stable_id


class ListFormat(StrEnum):
    """The format for printing attributes."""

    TABLE = "table"
    YAML = "yaml"


def list_attributes(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: ServiceArgument = None,
    format_: Annotated[ListFormat, typer.Option("--format", "-f", help="A table, or YAML.")] = ListFormat.TABLE,
    links: Annotated[bool, typer.Option("--links", "-l", help="Show where each value comes from.")] = False,
    node: NodeOption = None,
    component: ComponentOption = None,
    attribute: AttributeOption = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Include attributes that only pass values between components.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List a service's attributes: values, types, links.

    Hidden values are never shown. *REQUIRED* marks a value that must be set before anything runs. Attributes that
    their modules call internal are shown with --all, --attribute and --json.
    Example: dtk list-attributes dask1 --node slaves --links
    """
    _, found = read_service(service)
    rows = filtered(found, attribute_rows(found), node, component, attribute)
    if not (all_ or attribute or as_json):
        rows = [row for row in rows if row.is_missing or not row.internal]
    if as_json:
        print_json([_document(row) for row in rows])
    elif format_ is ListFormat.YAML:
        typer.echo(rows_yaml(rows), nl=False)
    else:
        headers = ["id", "path", "value", "type", *(["linked_to"] if links else [])]
        table = [[stable_id(row.path), *_cells(row, links=links)] for row in rows]
        typer.echo(format_table(headers, table), nl=False)


def _cells(row: AttributeRow, *, links: bool) -> list[str]:
    value = REQUIRED if row.is_missing else value_cell(row.value)
    return [row.path, value, row.type, *([", ".join(row.linked_to or row.made_from)] if links else [])]


def _document(row: AttributeRow) -> dict[str, Json]:
    return {
        "path": row.path,
        "value": row.value,
        "type": row.type,
        "required": row.required,
        "dynamic": row.dynamic,
        "editable": row.is_editable,
        "internal": row.internal,
        "linked_to": list(row.linked_to),
        "made_from": list(row.made_from),
    }

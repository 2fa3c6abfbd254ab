"""``dtk list-attributes``: every attribute of a service, as a table or as YAML."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.service import AttributeRow, Present, attribute_rows
from dtk.service.inspected import declared_node, read_service
from dtk.views.attribute_text import REQUIRED, attributes_yaml, value_cell
from dtk.views.listing import format_table


class Format(StrEnum):
    """How attributes are printed."""

    TABLE = "table"
    YAML = "yaml"


NodeOption = Annotated[
    str | None, typer.Option("--node", "-n", metavar="NODE", help="Only this node's or group's; a member's group.")
]
ComponentOption = Annotated[
    str | None, typer.Option("--component", "-c", metavar="COMPONENT", help="Only this component's.")
]
AttributeOption = Annotated[
    str | None, typer.Option("--attribute", "-a", metavar="ATTRIBUTE", help="Only attributes of this name.")
]


def list_attributes(
    service: ServiceArgument = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="A table, or YAML.")] = Format.TABLE,
    links: Annotated[bool, typer.Option("--links", "-l", help="Show what each gets its value from.")] = False,
    node: NodeOption = None,
    component: ComponentOption = None,
    attribute: AttributeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a service's attributes: values, types, links.

    Hidden ones are never shown; *REQUIRED* must be filled in before anything runs.
    Example: dtk list-attributes dask1 --node slaves --links
    """
    _, found = read_service(service)
    rows = filtered(found, attribute_rows(found), node, component, attribute)
    if as_json:
        print_json([_document(row) for row in rows])
    elif format_ is Format.YAML:
        typer.echo(rows_yaml(rows), nl=False)
    else:
        headers = ["id", "path", "value", "type", *(["linked_to"] if links else [])]
        table = [[index, *_cells(row, links=links)] for index, row in enumerate(rows, start=1)]
        typer.echo(format_table(headers, table), nl=False)


def filtered(
    found: Present, rows: list[AttributeRow], node: str | None, component: str | None, attribute: str | None
) -> list[AttributeRow]:
    """Return the rows of a node, a component, an attribute; None asks for all.

    Raises:
        UsageError: the service has no such node, component or attribute.
    """
    if node:
        rows = _having("node", declared_node(found, node), rows)
    if component:
        rows = _having("component", component, rows)
    return _having("attribute", attribute, rows) if attribute else rows


def _having(what: str, name: str, rows: list[AttributeRow]) -> list[AttributeRow]:
    names = {getattr(row, what) for row in rows}
    if name not in names and what != "node":
        raise UsageError(f"no {what} '{name}' here", hint=did_you_mean(name, names, "dtk list-attributes"))
    return [row for row in rows if getattr(row, what) == name]


def rows_yaml(rows: list[AttributeRow]) -> str:
    """Return rows as the original's YAML."""
    return attributes_yaml(
        (row.path.partition("/")[0] if row.node else "", row.component, row.attribute, row.value) for row in rows
    )


def _cells(row: AttributeRow, *, links: bool) -> list[str]:
    value = REQUIRED if row.is_missing else value_cell(row.value)
    return [row.path, value, row.type, *([", ".join(row.linked_to or row.made_from)] if links else [])]


def _document(row: AttributeRow) -> dict[str, Any]:
    return {
        "path": row.path,
        "value": row.value,
        "type": row.type,
        "required": row.required,
        "dynamic": row.dynamic,
        "editable": row.is_editable,
        "linked_to": list(row.linked_to),
        "made_from": list(row.made_from),
    }

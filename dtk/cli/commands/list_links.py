"""``dtk list-links``: the links between a service's components."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.plan.resolve.rows import link_rows
from dtk.service.lookup import read_service
from dtk.views.listing_table import format_table, stable_id


def list_links(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List the links between a service's components.

    An unresolved link has an empty cell. Example: dtk list-links dask1
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
    table = [[stable_id(row.base, row.name), row.base, row.name, ", ".join(row.satisfied_by)] for row in rows]
    typer.echo(format_table(["id", "base_component", "type", "satisfied_by"], table), nl=False)

"""``dtk outputs``: shows the outputs of a service, such as its addresses."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.outputs import output_rows
from dtk.service.lookup import read_service, service_and_words
from dtk.views.listing_table import format_table
from dtk.views.output_text import output_document, output_value


def outputs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE] [OUTPUT]", help="The service; one output, whose value alone is printed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a service's outputs, such as URLs and addresses.

    Outputs that depend on nodes are known once the nodes run. Outputs made from hidden or secret values are not
    shown. Example: dtk outputs dask1 url
    """
    service, names = service_and_words(words or [], 0, 1, "dtk outputs [SERVICE] [OUTPUT]")
    inputs, found = read_service(service)
    rows = output_rows(found)
    if names:
        wanted = [row for row in rows if row.name == names[0]]
        if not wanted:
            known = [row.name for row in rows]
            hint = did_you_mean(names[0], known, f"it has {', '.join(known) or 'none'}")
            raise UsageError(f"service '{inputs.service.name}' has no output '{names[0]}'", hint=hint)
        print_json(output_document(wanted[0])) if as_json else typer.echo(output_value(wanted[0]))
    elif as_json:
        print_json([output_document(row) for row in rows])
    else:
        typer.echo(format_table(["name", "value"], [[row.name, output_value(row)] for row in rows]), nl=False)

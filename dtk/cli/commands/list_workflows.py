"""``dtk list-workflows``: a service's workflows."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.model.names import CREATE
from dtk.service.lookup import read_service
from dtk.views.listing_table import format_table, stable_id


def list_workflows(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List a service's workflows.

    Example: dtk list-workflows dask1
    """
    _, found = read_service(service)
    names = list(found.topology.assembly.workflows) or [CREATE]
    if as_json:
        print_json(names)
    else:
        typer.echo(format_table(["id", "workflow_name"], [[stable_id(name), name] for name in names]), nl=False)

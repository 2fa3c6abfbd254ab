"""``dtk list-actions``: what ``dtk exec`` can run on a service."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dtk.cli.action_rows import action_rows
from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.service.lookup import read_service
from dtk.views.listing_table import format_table


class ActionType(StrEnum):
    """The kind of actions to list."""

    SERVICE = "service"
    COMPONENT = "component"


def list_actions(
    service: ServiceArgument = None,
    type_: Annotated[
        ActionType | None, typer.Option("--type", "-t", help="Only workflows (service), or components' actions.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what dtk exec can run: workflows and actions of components.

    An action of a group runs on all of its members, or on one member only. Example: dtk list-actions dask1 -t component
    """
    _, found = read_service(service)
    rows = [row for row in action_rows(found) if type_ is None or row[1].startswith(type_.value)]
    if as_json:
        print_json([{"action": name, "type": kind} for name, kind in rows])
    else:
        typer.echo(format_table(["action_name", "action_type"], rows), nl=False)

"""``dtk grep``: the lines of a log that match a pattern, on many nodes at once."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.node_logs import search_logs
from dtk.cli.options import LogArgument, NodesArgument, ServiceNameArgument
from dtk.service.context import chosen_service, current_workspace


def grep(
    service: ServiceNameArgument,
    log: LogArgument,
    nodes: NodesArgument,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="A basic regular expression, as grep takes it.")],
    first: Annotated[bool, typer.Option("--first", help="Only the first match in each log.")] = False,
) -> None:
    """Search a log on nodes.

    The exit code is 0 if a node has a match, else 1. Example: dtk grep dask1 log all ERROR --first
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    raise typer.Exit(search_logs(workspace, name, nodes, log, pattern, first=first))

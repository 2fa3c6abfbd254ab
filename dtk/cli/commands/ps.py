"""``dtk ps``: the processes on nodes."""

from __future__ import annotations

import typer

from dtk.cli.node_logs import run_on_nodes
from dtk.cli.options import FilterOption, ServiceNameArgument, WhereArgument
from dtk.service.context import chosen_service, current_workspace

# Leave out kernel threads, which ps shows in brackets: they are not part of a service.
_PROCESSES = r"ps -ef | grep -v ' \[[^ ]*\]$'"


def ps(service: ServiceNameArgument, nodes: WhereArgument = "all", filter_: FilterOption = "") -> None:
    """List the processes of nodes.

    Example: dtk ps dask1 slaves --filter dask
    """
    workspace = current_workspace()
    raise typer.Exit(run_on_nodes(workspace, chosen_service(workspace, service), nodes, _PROCESSES, filter_))

"""``dtk ps``: the processes of nodes."""

from __future__ import annotations

import typer

from dtk.cli.node_logs import run_on_nodes
from dtk.cli.options import FilterOption, NodesArgument, ServiceNameArgument
from dtk.service.context import chosen_service, current_workspace


def ps(service: ServiceNameArgument, nodes: NodesArgument, filter_: FilterOption = "") -> None:
    """List the processes of nodes.

    Example: dtk ps dask1 workers --filter dask
    """
    workspace = current_workspace()
    raise typer.Exit(run_on_nodes(workspace, chosen_service(workspace, service), nodes, "ps -ef", filter_))

"""``dtk netstat``: the ports that nodes listen on."""

from __future__ import annotations

import typer

from dtk.cli.node_logs import run_on_nodes
from dtk.cli.options import FilterOption, ServiceNameArgument, WhereArgument
from dtk.service.context import chosen_service, current_workspace

_COMMAND = "if command -v ss >/dev/null; then ss -tulpn; else netstat -tulpn; fi"


def netstat(service: ServiceNameArgument, nodes: WhereArgument = "all", filter_: FilterOption = "") -> None:
    """List the ports that nodes listen on.

    Example: dtk netstat dask1 all --filter :8787
    """
    workspace = current_workspace()
    raise typer.Exit(run_on_nodes(workspace, chosen_service(workspace, service), nodes, _COMMAND, filter_))

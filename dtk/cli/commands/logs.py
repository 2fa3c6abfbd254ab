"""``dtk logs``: the logs of a service's components, on one or more nodes."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.node_logs import show_logs
from dtk.cli.options import FollowOption, LinesOption, ServiceNameArgument, WhereArgument
from dtk.service.context import chosen_service, current_workspace


def logs(
    service: ServiceNameArgument,
    nodes: WhereArgument = "all",
    log: Annotated[
        str,
        typer.Argument(metavar="[LOG]", help="An attribute of type log_file, or a path. Default: all logs."),
    ] = "",
    follow: FollowOption = False,
    lines: LinesOption = 20,
) -> None:
    """Show the logs of components on nodes.

    With several nodes, each line starts with the name of its node. The logs are the attributes of type log_file.
    Examples: dtk logs dask1, dtk logs dask1 slaves log -f
    Example: dtk logs dask1 master /var/log/syslog
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    raise typer.Exit(show_logs(workspace, name, nodes, log, lines, follow=follow))

"""``dtk tail``: shows the end of one log, like the original's utilities."""

from __future__ import annotations

import typer

from dtk.cli.node_logs import show_logs
from dtk.cli.options import FollowOption, LinesOption, LogArgument, NodesArgument, ServiceNameArgument
from dtk.service.context import chosen_service, current_workspace


def tail(
    service: ServiceNameArgument,
    log: LogArgument,
    nodes: NodesArgument,
    follow: FollowOption = False,
    lines: LinesOption = 20,
) -> None:
    """Show the end of a log.

    Example: dtk tail dask1 /var/log/syslog master -f
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    raise typer.Exit(show_logs(workspace, name, nodes, log, lines, follow=follow))

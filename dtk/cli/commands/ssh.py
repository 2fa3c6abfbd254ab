"""``dtk ssh``: opens a terminal or runs a command on a node, with OpenSSH and the service's keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.logins import login_lines, nodes_meant
from dtk.cli.openssh import run_in_terminal, run_on_each
from dtk.errors import UsageError
from dtk.service.context import chosen_service, current_workspace


def ssh(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node (master, slaves:1), USER@NODE, or a group.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...]", help="The command to run, with its options. Default: open a terminal."),
    ] = None,
    user: Annotated[str, typer.Option("--user", "-l", metavar="USER", help="Log in as this user.")] = "",
    key: Annotated[
        Path | None, typer.Option("--identity", "-i", metavar="KEY", help="Use this private key.", exists=True)
    ] = None,
) -> None:
    """Open a terminal on a node, or run a command there.

    On a group, the command runs on all running members at once, and each line starts with the name of its node. The
    exit code is that of the command; for a group, the highest. Options must precede NODE; what follows NODE belongs
    to the command.
    Examples: dtk ssh dask1 slaves:1 uptime, dtk ssh dask1 slaves df -h /
    Example: dtk ssh dask1 master
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    named_user, _, where = node.rpartition("@")
    state, nodes = nodes_meant(workspace, name, where)
    is_one = where in state.nodes
    if not is_one and not command:
        raise UsageError(f"'{where}' is a group: a terminal opens on one node", hint=f"dtk ssh {name} {nodes[0]}")
    lines = login_lines(workspace, state, nodes, user or named_user, key)
    if is_one:
        raise typer.Exit(run_in_terminal(lines[where], command or []))
    raise typer.Exit(max(run_on_each(lines, command or []).values()))

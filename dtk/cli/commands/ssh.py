"""``dtk ssh``: a terminal, or one command, on a node, with OpenSSH and the keys that the service has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.openssh import run_in_terminal, run_on_each, ssh_arguments
from dtk.errors import DtkError, UsageError
from dtk.model.names import group_of, node_order
from dtk.nodes.provider import Connection
from dtk.service.context import chosen_service, current_workspace
from dtk.service.shared_store import fetch_service_key
from dtk.state.model import State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace


def ssh(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node (master, slaves:1), USER@NODE, or a group.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[COMMAND...]", help="What to run; a terminal without it. Its options are its own."),
    ] = None,
    user: Annotated[str, typer.Option("--user", "-l", metavar="USER", help="Another user to log in as.")] = "",
    key: Annotated[
        Path | None, typer.Option("--identity", "-i", metavar="KEY", help="Another private key.", exists=True)
    ] = None,
) -> None:
    """Open a terminal on a node, or run a command there.

    On a group, the command runs on each running member at once, and each line begins with its node. The exit code is
    the command's; of a group, the highest. Options stand before NODE: those behind it are the command's.
    Examples: dtk ssh dask1 slaves:1 uptime, dtk ssh dask1 slaves df -h /
    Example: dtk ssh dask1 master
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    state = load_state(workspace.state_file(name))
    named_user, _, where = node.rpartition("@")
    nodes = state.nodes if state else {}
    if not nodes:
        _refuse_unknown(workspace, name)
    members = sorted((other for other in nodes if group_of(other) == where), key=node_order)
    if state is None or (not members and where not in nodes):
        known = ", ".join(sorted(nodes, key=node_order)) or "none"
        raise UsageError(f"service '{name}' has no node '{where}' that exists: it has {known}", hint="dtk list-nodes")
    chosen = _running(state, name, where, [where] if where in nodes else members)
    if where not in nodes and not command:
        raise UsageError(f"'{where}' is a group: a terminal opens on one node", hint=f"dtk ssh {name} {chosen[0]}")
    from dtk.service.ssh_connection import ssh_connection  # noqa: PLC0415 - reads dtk.yaml, and knows every kind of target

    _fetch_key(workspace, name)
    lines = {}
    for one in chosen:
        connection = ssh_connection(workspace, state, one, _warn)
        connection = replace(connection, key=str(key)) if key else _with_own_keys(connection)
        lines[one] = ssh_arguments(connection, workspace.known_hosts(name), user or named_user)
    if where in nodes:
        raise typer.Exit(run_in_terminal(lines[where], command or []))
    raise typer.Exit(run_on_each(lines, command or []))


def _fetch_key(workspace: Workspace, name: str) -> None:
    try:
        fetch_service_key(workspace, name)
    except DtkError as error:
        _warn(f"Logging in with your own keys: {error.message}")


def _with_own_keys(connection: Connection) -> Connection:
    """Leave out a key that this machine does not have: people whose keys are on the nodes log in with those."""
    is_missing = connection.key and not Path(connection.key).expanduser().exists()
    return replace(connection, key="") if is_missing else connection


def _running(state: State, service: str, where: str, nodes: list[str]) -> list[str]:
    """Return those of the chosen nodes that run, and say which do not; there must be one."""
    running = [node for node in nodes if state.nodes[node].status == "running"]
    hint = f"dtk start {service} {where}"
    if not running:
        raise DtkError(f"{where} is {state.nodes[nodes[0]].status}", hint=hint)
    for node in nodes:
        if node not in running:
            _warn(f"{node} is {state.nodes[node].status}, and left out; next: {hint}")
    return running


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def _refuse_unknown(workspace: Workspace, name: str) -> None:
    """Say what exists of a service of which nothing is known here."""
    from dtk.service.identity import find_identity  # noqa: PLC0415 - only where no state is
    from dtk.service.planning import read_inputs  # noqa: PLC0415
    from dtk.service.unknown_machines import ServiceOnTarget, refuse_unknown  # noqa: PLC0415

    inputs = read_inputs(workspace, name)
    refuse_unknown(ServiceOnTarget(workspace, name, find_identity(workspace, name), inputs.target), inputs.state)

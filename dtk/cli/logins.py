"""How commands log in to a service's nodes: OpenSSH's command line for each that is meant and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from dtk.cli.openssh import ssh_arguments
from dtk.errors import DtkError, UsageError
from dtk.model.names import group_of, node_order
from dtk.nodes.provider import Connection
from dtk.service.shared_store import fetch_service_key
from dtk.state.model import State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace

ALL = "all"
"""Means every node."""


def nodes_meant(workspace: Workspace, service: str, where: str) -> tuple[State, list[str]]:
    """Return a service's state and the running nodes that a word means; those that do not run are said on stderr.

    Args:
        workspace: the workspace.
        service: the service's name.
        where: a node, a group, several of them with commas between, or ``all``.

    Raises:
        UsageError: the service has no such node that exists.
        DtkError: none of them runs; or nothing of the service is known here, and machines of it exist.
    """
    state = load_state(workspace.state_file(service))
    if state is None or not state.nodes:
        _refuse_unknown(workspace, service)
        raise UsageError(f"service '{service}' has no node that exists", hint=f"dtk apply {service}")
    names = [*state.nodes] if where == ALL else []
    for word in where.split(",") if where != ALL else ():
        found = [word] if word in state.nodes else [node for node in state.nodes if group_of(node) == word]
        if not found:
            known = ", ".join(sorted(state.nodes, key=node_order))
            hint = f"dtk list-nodes {service}"
            raise UsageError(f"service '{service}' has no node '{word}' that exists: it has {known}", hint=hint)
        names += found
    return state, _running(state, service, where, sorted(set(names), key=node_order))


def login_lines(
    workspace: Workspace, state: State, nodes: Sequence[str], user: str = "", key: Path | None = None
) -> dict[str, list[str]]:
    """Return OpenSSH's command line for each of a service's nodes.

    Args:
        workspace: the workspace.
        state: the service's.
        nodes: those to log in to.
        user: who to log in as, "" for the node's own user.
        key: the private key's file; None for the service's, or one's own where that is not here.

    Raises:
        DtkError: a node can't be reached.
    """
    from dtk.service.ssh_connection import ssh_connection  # noqa: PLC0415 - reads dtk.yaml, and knows every kind of target

    _fetch_key(workspace, state.service)
    lines = {}
    for node in nodes:
        connection = ssh_connection(workspace, state, node, _warn)
        connection = replace(connection, key=str(key)) if key else _with_own_keys(connection)
        lines[node] = ssh_arguments(connection, workspace.known_hosts(state.service), user)
    return lines


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
    hint = f"dtk start {service}{'' if where == ALL else f' {where}'}"
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

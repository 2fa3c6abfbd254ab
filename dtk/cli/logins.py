"""OpenSSH command lines that log in to the chosen running nodes of a service."""

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
"""Selects every node."""


def nodes_meant(workspace: Workspace, service: str, where: str) -> tuple[State, list[str]]:
    """Return a service's state and the running nodes that a text selects; report other nodes on standard error.

    Args:
        workspace: the workspace.
        service: the name of the service.
        where: a node, a group, several of them separated by commas, or ``all``.

    Raises:
        UsageError: the service has no such existing node.
        DtkError: none of the nodes runs, or nothing is known of the service here although it has machines.
    """
    state = load_state(workspace.state_file(service))
    if state is None or not state.nodes:
        _refuse_unknown(workspace, service)
        raise UsageError(f"service '{service}' has no nodes", hint=f"dtk apply {service}")
    names = [*state.nodes] if where == ALL else []
    for word in where.split(",") if where != ALL else ():
        found = [word] if word in state.nodes else [node for node in state.nodes if group_of(node) == word]
        if not found:
            known = ", ".join(sorted(state.nodes, key=node_order))
            hint = f"dtk list-nodes {service}"
            raise UsageError(f"no node '{word}' exists in service '{service}'; existing nodes: {known}", hint=hint)
        names += found
    return state, _running(state, service, where, sorted(set(names), key=node_order))


def login_lines(
    workspace: Workspace, state: State, nodes: Sequence[str], user: str = "", key: Path | None = None
) -> dict[str, list[str]]:
    """Return OpenSSH's command line for each of the given nodes.

    Args:
        workspace: the workspace.
        state: the state of the service.
        nodes: the nodes to log in to.
        user: the login name, "" for the node's own user.
        key: the file of the private key; None for the service's key, or the user's own keys if it is not here.

    Raises:
        DtkError: a node can't be reached.
    """
    from dtk.service.ssh_connection import ssh_connection  # noqa: PLC0415 - reads dtk.yaml, loads all target types

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
    """Remove a key that this machine does not have, so that people with access log in with their own keys."""
    is_missing = connection.key and not Path(connection.key).expanduser().exists()
    return replace(connection, key="") if is_missing else connection


def _running(state: State, service: str, where: str, nodes: list[str]) -> list[str]:
    """Return the running ones of the chosen nodes and report the others; at least one must run."""
    running = [node for node in nodes if state.nodes[node].status == "running"]
    hint = f"dtk start {service}{'' if where == ALL else f' {where}'}"
    if not running:
        raise DtkError(f"{where} is {state.nodes[nodes[0]].status}", hint=hint)
    for node in nodes:
        if node not in running:
            _warn(f"skipped {node}: it is {state.nodes[node].status}; next: {hint}")
    return running


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def _refuse_unknown(workspace: Workspace, name: str) -> None:
    """Refuse if the service has machines although nothing is known of it here."""
    from dtk.service.identity import find_identity  # noqa: PLC0415 - only without a state
    from dtk.service.planning import read_inputs  # noqa: PLC0415
    from dtk.service.unknown_machines import ServiceOnTarget, refuse_unknown  # noqa: PLC0415

    inputs = read_inputs(workspace, name)
    refuse_unknown(ServiceOnTarget(workspace, name, find_identity(workspace, name), inputs.target), inputs.state)

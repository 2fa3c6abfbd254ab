"""``dtk ssh``: a terminal, or one command, on a node, with OpenSSH and the keys that the service has."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from dtk.errors import DtkError, UsageError
from dtk.model.names import node_order
from dtk.model.ssh_address import parse_ssh_address
from dtk.nodes.provider import Connection
from dtk.service.context import chosen_service, current_workspace
from dtk.state.store import load_state
from dtk.state.workspace import Workspace

CONNECT_SECONDS = 20
_SIGNALLED = 128
_USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def ssh(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node: master, slaves:1.")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="What to run; a terminal without it.")
    ] = None,
    user: Annotated[str, typer.Option("--user", "-l", metavar="USER", help="Another user to log in as.")] = "",
) -> None:
    """Open a terminal on a node, or run a command there.

    The exit code is the command's. Examples: dtk ssh dask1 master, dtk ssh dask1 slaves:1 -- uptime
    Example: dtk ssh dask1 master
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    state = load_state(workspace.state_file(name))
    nodes = state.nodes if state else {}
    if not nodes:
        _refuse_unknown(workspace, name)
    if state is None or node not in nodes:
        known = ", ".join(sorted(nodes, key=node_order)) or "none"
        raise UsageError(f"service '{name}' has no node '{node}' that exists: it has {known}", hint="dtk list-nodes")
    if nodes[node].status != "running":
        raise DtkError(f"{node} is {nodes[node].status}", hint=f"dtk start {name} {node}")
    from dtk.service.ssh_connection import ssh_connection  # noqa: PLC0415 - reads dtk.yaml, and knows every kind of target

    arguments = ssh_arguments(ssh_connection(workspace, state, node, _warn), workspace.known_hosts(name), user)
    raise typer.Exit(_run(arguments, command or []))


def _warn(text: str) -> None:
    typer.echo(text, err=True)


def _refuse_unknown(workspace: Workspace, name: str) -> None:
    """Say what exists of a service of which nothing is known here."""
    from dtk.service.identity import find_identity  # noqa: PLC0415 - only where no state is
    from dtk.service.planning import read_inputs  # noqa: PLC0415
    from dtk.service.unknown_machines import ServiceOnTarget, refuse_unknown  # noqa: PLC0415

    inputs = read_inputs(workspace, name)
    refuse_unknown(ServiceOnTarget(workspace, name, find_identity(workspace, name), inputs.target), inputs.state)


def ssh_arguments(connection: Connection, known_hosts: Path, user: str = "") -> list[str]:
    """Return OpenSSH's command line for a node: its key, its pinned host key, its jump host."""
    options = _options(connection.key, known_hosts)
    if connection.jump:
        # Not -J: the jump host is reached with keys of its own, and the same pinned host keys.
        jump = parse_ssh_address(connection.jump)
        key = connection.jump_key or connection.key
        through = [
            "ssh",
            *_options("", known_hosts),
            *_offered(key),
            *(["-l", jump.user] if jump.user else []),
            "-p",
            str(jump.port),
            "-W",
            "[%h]:%p",
            jump.host,
        ]
        options = [*options, "-o", f"ProxyCommand={shlex.join(through)}"]
    login = user or connection.user
    where = f"{login}@{connection.hostname}" if login else connection.hostname
    return ["ssh", *options, "-p", str(connection.port), where]


def _options(key: str, known_hosts: Path) -> list[str]:
    settings = [
        f"UserKnownHostsFile={known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        # Pinned at first contact and checked from then on, as tasks do; readable, as they expect it.
        "StrictHostKeyChecking=accept-new",
        "HashKnownHosts=no",
        f"ConnectTimeout={CONNECT_SECONDS}",
    ]
    settings += ["IdentitiesOnly=yes"] if key else []
    options = [word for setting in settings for word in ("-o", setting)]
    return [*options, "-i", str(Path(key).expanduser())] if key else options


def _offered(key: str) -> list[str]:
    """Offer a key and then the user's own: those of the agent, and the usual ones, which one that is named replaces."""
    if not key:
        return []
    usual = (Path("~/.ssh").expanduser() / name for name in _USUAL_KEYS)
    return [word for file in (Path(key).expanduser(), *usual) if file.exists() for word in ("-i", str(file))]


def _run(arguments: list[str], command: list[str]) -> int:
    if shutil.which(arguments[0]) is None:
        raise DtkError("the program ssh is not installed", hint="Debian, Ubuntu: apt-get install openssh-client")
    where = arguments[-1]
    is_terminal = not command and sys.stdin.isatty()
    if is_terminal:
        typer.echo(f"You are entering SSH terminal ({where}) ...")
    # ^C belongs to what runs over there.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        defaults = _default_interrupt_and_hangup if _has_proxy(arguments) else _default_interrupt
        done = subprocess.run([*arguments, *command], check=False, preexec_fn=defaults)
    finally:
        signal.signal(signal.SIGINT, before)
    if is_terminal:
        typer.echo("You are leaving SSH terminal ...")
    # Ended by a signal, it counts as in a shell.
    return done.returncode if done.returncode >= 0 else _SIGNALLED - done.returncode


def _has_proxy(arguments: list[str]) -> bool:
    return any(argument.startswith("ProxyCommand=") for argument in arguments)


def _default_interrupt_and_hangup() -> None:
    """OpenSSH ends its way through a jump host with SIGHUP and waits for it: where nohup has it ignored, for ever."""
    _default_interrupt()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

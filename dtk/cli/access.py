"""Grants people SSH access to a service's nodes: in service.yaml, and at once on running nodes."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from dtk.cli.logins import login_lines
from dtk.cli.openssh import run_on_each
from dtk.cli.output import shown_path
from dtk.cli.running import changing
from dtk.dsl.yaml.edit import set_entry
from dtk.errors import UsageError
from dtk.model.access import PUBLIC_KEY, SETTING
from dtk.service.planning import Inputs, read_inputs
from dtk.state.workspace import Workspace

SECTION = "access"
_USUAL_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


def public_key(given: str) -> str:
    """Return a public key given as text or as a file; for "", the user's own key.

    Raises:
        UsageError: there is no such key.
    """
    if PUBLIC_KEY.fullmatch(given.strip()):
        return given.strip()
    files = [Path(given).expanduser()] if given else [Path("~/.ssh").expanduser() / name for name in _USUAL_KEYS]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UsageError(
            f"public key file not found: {given}" if given else "no public key in ~/.ssh",
            hint="name a public key file, such as ~/.ssh/id_ed25519.pub",
        )
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    if not PUBLIC_KEY.fullmatch(text):
        raise UsageError(f"{file} is not a public key", hint=f"ssh-keygen -y -f {file} prints the public half of a key")
    return text


def check_keeps_keys(inputs: Inputs) -> None:
    """Refuse a target that does not manage people's keys on its nodes.

    Raises:
        UsageError: the target does not.
    """
    if f'"{SETTING}"' not in inputs.target.description.settings_schema.read_text(encoding="utf-8"):
        kind = f"target '{inputs.target.name}' ({inputs.target.type})"
        raise UsageError(f"{kind} does not manage the keys of users", hint=f"dtk ssh {inputs.service.name} NODE")


def record_access(
    workspace: Workspace, service: str, name: str, key: str | None, command: str, lock_wait: float
) -> int:
    """Record a person's key, or its removal, in service.yaml and update the running nodes.

    Args:
        workspace: the workspace.
        service: the name of the service.
        name: the name of the person.
        key: the public key; None removes the access.
        command: the command, as people type it.
        lock_wait: how long to wait for another holder of the service, in seconds.

    Returns:
        The highest exit code of the nodes.
    """
    with changing(workspace, service, command, lock_wait):
        file = workspace.service_file(service)
        set_entry(file, SECTION, name, key)
        code = _put_on_nodes(workspace, read_inputs(workspace, service))
    typer.echo(f"changed {shown_path(file)}: commit it, so that new nodes get the same keys")
    return code


def _put_on_nodes(workspace: Workspace, inputs: Inputs) -> int:
    from dtk.apply.nodes.team_keys import keys_script, read_team_keys  # noqa: PLC0415 - part of the executor, only when used

    nodes = {name: node.status for name, node in inputs.state.nodes.items()}
    running = [name for name, status in nodes.items() if status == "running"]
    for name in nodes.keys() - set(running):
        typer.echo(f"{name} is {nodes[name]}: the next task on this node updates its keys", err=True)
    if not running:
        return 0
    script = keys_script(read_team_keys(inputs.target, workspace.root) or ())
    codes = run_on_each(login_lines(workspace, inputs.state, running), [shlex.join(["sh", "-c", script])])
    failed = [name for name, code in codes.items() if code]
    typer.echo(f"{len(running) - len(failed)} of {len(running)} running nodes are up to date")
    return max(codes.values())

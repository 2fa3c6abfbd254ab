"""``dtk state`` in a workspace without a store: lists, restores and rebuilds the states kept in this folder."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json
from dtk.cli.passphrases import ask_passphrases_of
from dtk.cli.running import confirm
from dtk.errors import UsageError
from dtk.model.json_data import JsonObject
from dtk.service.holding import holding
from dtk.service.local_states import LocalState, choose_local, read_local, restore_local
from dtk.service.state_rebuild import Rebuilt, known_identity, rebuilt, target_of_service
from dtk.state.store import save_state
from dtk.state.workspace import Workspace
from dtk.views.formatting import counted, long_duration
from dtk.views.listing_table import format_table


def show_history(workspace: Workspace, service: str, *, as_json: bool) -> None:
    """List the versions of a service's state that are kept here, newest first."""
    kept = read_local(workspace, service)
    if as_json:
        print_json([_document(one) for one in kept])
        return
    headers = ["serial", "file", "age", "last_task", "nodes", "note"]
    typer.echo(format_table(headers, [_row(one) for one in kept]), nl=False)


def _row(one: LocalState) -> list[object]:
    state = one.state
    known = (state.serial, state.last_task, len(state.nodes)) if state else ("", "", "")
    note = ", ".join(word for word, holds in (("current", one.is_current), ("damaged", state is None)) if holds)
    return [known[0], one.file.name, long_duration(one.age), known[1], known[2], note]


def _document(one: LocalState) -> JsonObject:
    state = one.state
    return {
        "serial": state.serial if state else None,
        "file": str(one.file),
        "age": one.age,
        "last_task": state.last_task if state else None,
        "nodes": len(state.nodes) if state else None,
        "current": one.is_current,
        "damaged": state is None,
    }


def put_back(workspace: Workspace, service: str, serial: int | None, *, yes: bool) -> None:
    """Make an earlier version of a service's state the current one.

    Raises:
        UsageError: there is no such version, or there is no terminal to confirm it.
    """
    if serial is None:
        raise UsageError("restore takes a service and a serial", hint=f"dtk state history {service}")
    earlier = choose_local(workspace, service, serial)
    typer.echo(
        f"State {serial} contains {counted(len(earlier.nodes), 'node')}. The changes of later tasks will be lost."
        f" To recover them from the tasks' logs: dtk state rebuild {service}"
    )
    if not yes:
        confirm(f"Make state {serial} of '{service}' the current one?")
    identity = known_identity(workspace, service)
    with holding(workspace, service, f"dtk state restore {service} {serial}", None, identity):
        new = restore_local(workspace, service, earlier)
    typer.echo(f"State {serial} is current again, with serial {new}; next: dtk plan {service} --refresh")


def rebuild(workspace: Workspace, service: str, *, yes: bool) -> None:
    """Rebuild a service's state from its tasks and its machines.

    Raises:
        UsageError: nothing is known of the service, or there is no terminal to confirm it.
        DtkError: the target can't be queried.
    """
    identity = known_identity(workspace, service)
    if not yes:
        confirm(f"Replace the state of '{service}' with one rebuilt from its tasks' logs and its machines?")
    ask_passphrases_of(target_of_service(workspace, service), workspace)
    with holding(workspace, service, f"dtk state rebuild {service}", None, identity):
        made = rebuilt(workspace, service, identity)
        save_state(workspace.state_file(service), made.state)
    typer.echo(_said(made))
    typer.echo(f"next: dtk plan {service} --refresh")


def _said(made: Rebuilt) -> str:
    applied = sum(len(components) for components in made.state.applied.values())
    lines = [
        f"rebuilt the state of '{made.state.service}' with serial {made.state.serial}:"
        f" {counted(len(made.state.nodes), 'node')}, {counted(applied, 'component')} applied;"
        f" {counted(len(made.tasks), 'task')} read",
        *made.notes,
        *(f"{node} was created by a task, but its machine no longer exists" for node in made.gone),
    ]
    return "\n".join(lines)

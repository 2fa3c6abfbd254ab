"""``dtk state``: shows and repairs the states of services, in the shared store or in this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from dtk.cli.options import JsonOption, ServiceArgument, YesOption
from dtk.cli.output import print_json
from dtk.cli.running import confirm
from dtk.dsl.workspace import load_workspace
from dtk.errors import UsageError
from dtk.model.json_data import JsonObject
from dtk.service.context import chosen_service, current_workspace
from dtk.service.shared_states import (
    KeptState,
    StoredService,
    choose_kept,
    free,
    list_entries,
    needed_entry,
    needed_store,
    read_kept,
    shown_state,
)
from dtk.service.shared_store import SharedStore, refuse_offline, store_settings_of
from dtk.service.state_transfer import pull, push, restore
from dtk.state.workspace import Workspace
from dtk.views.formatting import counted, long_duration
from dtk.views.listing_table import format_table


class StateVerb(StrEnum):
    """The subcommands of ``dtk state``."""

    LIST = "list"
    SHOW = "show"
    HISTORY = "history"
    PUSH = "push"
    PULL = "pull"
    RESTORE = "restore"
    REBUILD = "rebuild"
    UNLOCK = "unlock"


@dataclass(frozen=True)
class StateRequest:
    """The options of a command line, with the store it applies to."""

    store: SharedStore
    workspace: Workspace
    service: str
    serial: int | None
    every: bool
    force: bool
    yes: bool
    as_json: bool


def state(
    verb: Annotated[StateVerb, typer.Argument(help="The operation.")],
    service: ServiceArgument = None,
    serial: Annotated[int | None, typer.Argument(metavar="[SERIAL]", help="For restore: the state's serial.")] = None,
    every: Annotated[bool, typer.Option("--all", help="For push and pull: every service.")] = False,
    force: Annotated[bool, typer.Option("--force", help="For push: replace an older state in the store.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List, show, push, pull, restore, rebuild or unlock the states of services.

    Without a shared store: history lists the versions that this folder keeps. restore makes one of them the current
    state again. rebuild recreates the state from the tasks' logs and the existing machines.

    With a shared store: list and show print what it contains. push copies a service's state, tasks and keys from this
    folder to the store, pull copies them from the store. history lists earlier states, restore commits one of them
    again. unlock takes a service's lock from its holder.
    Example: dtk state history dask1
    """
    workspace = current_workspace()
    if verb is StateVerb.REBUILD or (verb in _WITHOUT_STORE and store_settings_of(workspace) is None):
        _here(workspace, verb, service, serial, yes=yes, as_json=as_json)
        return
    store = needed_store(workspace)
    if every and verb not in (StateVerb.PUSH, StateVerb.PULL):
        raise UsageError("--all is for push and pull", hint="dtk state -h")
    if verb in (StateVerb.PUSH, StateVerb.PULL, StateVerb.RESTORE, StateVerb.UNLOCK):
        refuse_offline(workspace)
    name = "" if verb is StateVerb.LIST or every else _chosen(workspace, store, service)
    _DONE_BY[verb](StateRequest(store, workspace, name, serial, every, force, yes, as_json))


_WITHOUT_STORE = (StateVerb.HISTORY, StateVerb.RESTORE)


def _here(
    workspace: Workspace, verb: StateVerb, given: str | None, serial: int | None, *, yes: bool, as_json: bool
) -> None:
    """Run a subcommand that concerns only this folder."""
    from dtk.cli import local_state  # noqa: PLC0415 - queries machines, which listings never do

    if store_settings_of(workspace) is not None:
        hint = "restore an earlier state: dtk state history, dtk state restore SERVICE SERIAL"
        raise UsageError(
            "the states of this workspace are in a shared store, which keeps earlier states itself", hint=hint
        )
    service = chosen_service(workspace, given)
    if verb is StateVerb.HISTORY:
        local_state.show_history(workspace, service, as_json=as_json)
    elif verb is StateVerb.RESTORE:
        local_state.put_back(workspace, service, serial, yes=yes)
    else:
        local_state.rebuild(workspace, service, yes=yes)


def _chosen(workspace: Workspace, store: SharedStore, given: str | None) -> str:
    """Return the service to use; its file may be missing, and its state in the store damaged."""
    if given:
        return given
    names = workspace.service_names() or [entry.name for entry in list_entries(store)]
    if len(names) != 1:
        found = f"several services exist: {', '.join(names)}" if names else "no service exists"
        raise UsageError(found, hint="name the service")
    return names[0]


def _list(request: StateRequest) -> None:
    entries = list_entries(request.store)
    if request.as_json:
        print_json([_entry_document(entry) for entry in entries])
        return
    headers = ["service", "serial", "last_task", "age", "held_by"]
    typer.echo(format_table(headers, [_entry_row(entry) for entry in entries]), nl=False)


def _entry_row(entry: StoredService) -> list[object]:
    head = entry.head
    held = entry.holder if entry.is_held or not entry.holder else f"(gone) {entry.holder}"
    return [
        entry.name,
        head.serial,
        head.last_task,
        long_duration(entry.age),
        "(destroyed)" if head.destroyed else held,
    ]


def _entry_document(entry: StoredService) -> JsonObject:
    head = entry.head
    return {
        "service": entry.name,
        "lineage": head.lineage,
        "serial": head.serial,
        "epoch": head.epoch,
        "last_task": head.last_task,
        "destroyed": head.destroyed,
        "age": entry.age,
        "held_by": entry.holder if entry.is_held else None,
        "running": entry.running or None,
    }


def _show(request: StateRequest) -> None:
    print_json(shown_state(request.store, request.service))


def _history(request: StateRequest) -> None:
    kept = read_kept(request.store, request.service)
    if request.as_json:
        print_json([_kept_document(one) for one in kept])
        return
    headers = ["serial", "holder", "age", "last_task", "nodes", "note"]
    typer.echo(format_table(headers, [_kept_row(one) for one in kept]), nl=False)


def _kept_row(one: KeptState) -> list[object]:
    task, nodes = (one.state.last_task, len(one.state.nodes)) if one.state else ("", "")
    note = ", ".join(word for word, holds in (("current", one.is_current), ("damaged", one.state is None)) if holds)
    return [one.serial, one.epoch, long_duration(one.age), task, nodes, note]


def _kept_document(one: KeptState) -> JsonObject:
    return {
        "serial": one.serial,
        "epoch": one.epoch,
        "age": one.age,
        "last_task": one.state.last_task if one.state else None,
        "nodes": len(one.state.nodes) if one.state else None,
        "current": one.is_current,
        "damaged": one.state is None,
    }


def _push(request: StateRequest) -> None:
    workspace = request.workspace
    names = workspace.names_with_state() if request.every else [request.service]
    workspace_id = load_workspace(workspace.file, workspace.root).id
    if not workspace_id:
        raise UsageError("dtk.yaml has no id", hint="the next dtk apply writes one; commit it")
    for name in names:
        is_new = push(request.store, workspace, workspace_id, name, force=request.force)
        typer.echo(f"{name}: {'copied to' if is_new else 'already in'} {request.store.settings.shown}")
    if not names:
        typer.echo("This workspace has no state.")


def _pull(request: StateRequest) -> None:
    for name in [entry.name for entry in list_entries(request.store)] if request.every else [request.service]:
        serial = pull(request.store, request.workspace, name)
        typer.echo(f"{name}: copied state {serial}, tasks and keys from the store")
    typer.echo("dtk uses the store as long as dtk.yaml names it. To stop using it, remove 'store:' in every clone.")


def _restore(request: StateRequest) -> None:
    service = request.service
    if request.serial is None:
        raise UsageError("restore takes a service and a serial", hint=f"dtk state history {service}")
    lineage = needed_entry(request.store, service).head.lineage
    kept = choose_kept(read_kept(request.store, service), service, request.serial)
    nodes = len(kept.state.nodes) if kept.state else 0
    typer.echo(
        f"State {kept.serial} contains {counted(nodes, 'node')}. The changes of later tasks will be lost."
        f" To find machines created since then: dtk list-nodes --orphans"
    )
    if not request.yes:
        confirm(f"Make state {kept.serial} of '{service}' the current one?")
    serial = restore(request.store, kept, service, lineage)
    typer.echo(f"State {kept.serial} is current again, with serial {serial}; next: dtk plan {service} --refresh")


def _unlock(request: StateRequest) -> None:
    service = request.service
    entry = needed_entry(request.store, service)
    if not entry.holder:
        typer.echo(f"'{service}' is not locked.")
        return
    if not entry.is_held:
        typer.echo(f"{entry.holder} has ended; the next command can lock '{service}'.")
        return
    typer.echo(
        f"'{service}' is held by {entry.holder}; its last heartbeat was {entry.age:.0f} s ago.\n"
        "If it still runs, it continues to change nodes until its next write to the store,"
        " so two tasks may run at once.\n"
        f"If it has ended, its lock expires {entry.frees_after:.0f} s after that heartbeat."
    )
    if not request.yes:
        confirm("Take over its lock?")
    if not free(request.store, service, entry.nonce):
        raise UsageError(f"another process has locked '{service}' in the meantime", hint="dtk state list")
    typer.echo(f"'{service}' is unlocked.")


_DONE_BY: dict[StateVerb, Callable[[StateRequest], None]] = {
    StateVerb.LIST: _list,
    StateVerb.SHOW: _show,
    StateVerb.HISTORY: _history,
    StateVerb.PUSH: _push,
    StateVerb.PULL: _pull,
    StateVerb.RESTORE: _restore,
    StateVerb.UNLOCK: _unlock,
}

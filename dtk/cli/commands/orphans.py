"""``dtk list-nodes --orphans``: machines that carry this workspace's mark and that no state knows."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from dtk.cli.output import print_json
from dtk.cli.running import confirm
from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError
from dtk.nodes.provider import MarkedMachine, Provider, ServiceIdentity
from dtk.nodes.targets import provider_for
from dtk.service.context import current_workspace
from dtk.state import changes
from dtk.state.identity import workspace_id
from dtk.state.lock import acquire
from dtk.state.model import NodeState, State
from dtk.state.store import StateStore, load_state
from dtk.state.workspace import Workspace
from dtk.views.listing import format_table


@dataclass(frozen=True)
class Orphan:
    """A machine that no state knows, and the target it was found in."""

    target: str
    provider: Provider
    machine: MarkedMachine


def orphans(*, take_in: bool, terminate: bool, yes: bool, as_json: bool) -> None:
    """List the workspace's orphans, take them into the states of their services, or end them."""
    workspace = current_workspace()
    found = _find(workspace)
    if as_json:
        print_json([_row(orphan) for orphan in found])
    else:
        headers = ["id", "target", "service", "node", "instance_id", "op_status"]
        rows = [[str(index), *_row(orphan).values()] for index, orphan in enumerate(found, start=1)]
        typer.echo(format_table(headers, rows), nl=False)
    if take_in:
        for orphan in found:
            _take_in(workspace, orphan)
    if terminate and found:
        if not yes:
            confirm(f"Terminate {len(found)} instances for good?")
        _end(found)


def _find(workspace: Workspace) -> list[Orphan]:
    targets = load_workspace(workspace.file, workspace.root).targets.values()
    states = [load_state(workspace.state_file(name)) for name in workspace.service_names()]
    known = {node.id for state in states if state for node in state.nodes.values()}
    found: dict[str, Orphan] = {}
    for target in targets:
        provider = provider_for(target, workspace)
        for machine in provider.find_orphans(workspace_id(workspace), known):
            found.setdefault(machine.id, Orphan(target.name, provider, machine))
    return list(found.values())


def _row(orphan: Orphan) -> dict[str, str]:
    machine = orphan.machine
    return {
        "target": orphan.target,
        "service": machine.service,
        "node": machine.node,
        "instance_id": machine.id,
        "op_status": machine.state,
    }


def _take_in(workspace: Workspace, orphan: Orphan) -> None:
    machine = orphan.machine
    name, node = machine.service, machine.node
    if name not in workspace.service_names():
        raise DtkError(f"{machine.id} is of service '{name}', which is not in this workspace")
    folder = workspace.service_folder(name)
    with acquire(folder, "dtk list-nodes --orphans --adopt", None):
        # A service whose state was lost gets the one back that its machines remember.
        state = load_state(workspace.state_file(name)) or State(name, machine.lineage)
        if node in state.nodes and state.nodes[node].id:
            raise DtkError(
                f"{node} of '{name}' is machine {state.nodes[node].id} already; {machine.id} is one too many",
                hint="dtk list-nodes --orphans --terminate",
            )
        record = orphan.provider.adopt(ServiceIdentity(name, state.lineage, folder), machine)
        known = NodeState(record.id, record.status, vars(record.connection), dict(record.attributes))
        StateStore(workspace.state_file(name), state).change(lambda state: changes.with_node(state, node, known))
    typer.echo(f"{machine.id} is {node} of '{name}' now; next: dtk plan {name}")


def _end(found: list[Orphan]) -> None:
    for target in dict.fromkeys(orphan.target for orphan in found):
        there = [orphan for orphan in found if orphan.target == target]
        failed = there[0].provider.end_orphans([orphan.machine for orphan in there])
        for error in failed.values():
            raise error
    typer.echo(f"{len(found)} terminated.")

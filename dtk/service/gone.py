"""Services without a file that still have a state or machines: finds them, and reads what destroying them needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dtk.dsl.workspace import WorkspaceConfiguration, load_workspace
from dtk.errors import DtkError, Location
from dtk.model.service import Service
from dtk.model.target import Target
from dtk.nodes.provider import MarkedMachine, MarkSearch
from dtk.nodes.targets import provider_for
from dtk.refresh.ask_machines import asking
from dtk.service.identity import FoundIdentity
from dtk.service.machine_inputs import last_target
from dtk.service.planning import Inputs
from dtk.service.shared_store import read_all_states
from dtk.state.identity import Identity
from dtk.state.model import State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class GoneService:
    """What is left of a service without a file; ``target`` is None if only its state is left, without any task."""

    name: str
    state: State | None
    machines: tuple[MarkedMachine, ...]
    target: Target | None

    @property
    def lineage(self) -> str:
        """The id of the service, from its state or its machines."""
        return self.state.lineage if self.state else self.machines[0].lineage


def gone_services(workspace: Workspace) -> list[GoneService]:
    """Return what is left of services without a file: local states, and marked machines in any target.

    Raises:
        DtkError: a target can't be queried.
    """
    read_all_states(workspace)
    configuration = load_workspace(workspace.file, workspace.root)
    existing = set(workspace.service_names())
    machines: dict[str, dict[str, tuple[Target, MarkedMachine]]] = {}
    for owner, machine in _marked(workspace, configuration):
        if machine.service and machine.service not in existing:
            machines.setdefault(machine.service, {}).setdefault(machine.id, (owner, machine))
    found = []
    for name in sorted({*machines, *workspace.names_with_state()} - existing):
        own = list(machines.get(name, {}).values())
        target = own[0][0] if own else last_target(workspace, name)
        found.append(GoneService(name, load_state(workspace.state_file(name)), tuple(one for _, one in own), target))
    return found


def _marked(workspace: Workspace, configuration: WorkspaceConfiguration) -> Iterator[tuple[Target, MarkedMachine]]:
    if not configuration.id:
        return
    ask = asking(workspace.shared_known_hosts)
    for target in configuration.targets.values():
        for machine in provider_for(target, workspace).find_orphans(MarkSearch(configuration.id), (), ask):
            yield target, machine


def inputs_of_gone(workspace: Workspace, gone: GoneService) -> tuple[Inputs, FoundIdentity]:
    """Return the inputs for destroying a service, from what is left of it.

    Raises:
        DtkError: the location of its nodes is unknown.
    """
    configuration = load_workspace(workspace.file, workspace.root)
    if gone.target is None:
        raise DtkError(
            f"the target of service '{gone.name}' is unknown: it has no service.yaml and no recorded task",
            hint="restore its service.yaml from git, then run: dtk delete-and-destroy",
        )
    file = workspace.service_file(gone.name).relative_to(workspace.root)
    service = Service(gone.name, "", "", gone.target.name, Location(str(file), 1, 1), id=gone.lineage)
    state = load_state(workspace.state_file(gone.name)) or State(gone.name, gone.lineage)
    found = FoundIdentity(Identity(configuration.id, gone.lineage))
    return Inputs(workspace, service, {}, state, gone.target, configuration.id), found

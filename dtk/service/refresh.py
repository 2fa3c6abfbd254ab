"""``--refresh``: asks the target about its nodes and the nodes about drift, and makes a plan that fixes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dtk.model.names import ASSEMBLY_WIDE
from dtk.model.plan import Finding, Plan
from dtk.model.selection import Selection
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.targets import provider_for
from dtk.plan.compile import compile_plan
from dtk.plan.resolve.request import Scope
from dtk.refresh.dry_run import dry_run
from dtk.refresh.node_drift import Drift, look
from dtk.service.identity import find_identity, write_identity
from dtk.service.planning import Inputs, read_inputs
from dtk.service.target_facts import with_facts
from dtk.service.unknown_machines import ServiceOnTarget, take_in_unknown, unknown_error, unknown_machines
from dtk.state.model import State
from dtk.state.workspace import Workspace
from dtk.state.writer import StateStore


def refreshed_plan(
    workspace: Workspace, service: str, scope: Scope, selection: Selection, report: Callable[[Drift], None]
) -> Plan:
    """Return a plan based on what the target and the nodes report now; take no lock and write nothing.

    Args:
        workspace: the workspace.
        service: the name of the service.
        scope: which steps the plan includes.
        selection: the part of the service to plan.
        report: called with each difference of a machine.

    Raises:
        UnknownMachinesError: machines exist that the state does not know.
        DtkError: the target can't be queried.
    """
    inputs = read_inputs(workspace, service)
    place = _on_target(inputs)
    machines = unknown_machines(place, inputs.state)
    for machine in machines:
        report(Drift(machine.node, f"{machine.id} is not in the state; to adopt it: dtk apply {service} --refresh"))
    if machines:
        # Without the facts of these machines, nothing can be planned for them, least of all to create them again.
        raise unknown_error(place, machines)
    return _plan_of(_as_found(inputs, report, lambda _: None), scope, selection)


def noted_plan(
    workspace: Workspace, service: str, scope: Scope, selection: Selection, report: Callable[[Drift], None]
) -> tuple[Plan, Inputs]:
    """Return a plan like ``refreshed_plan``, and record in the state what became of the machines.

    The caller holds the service's lock, because a task meanwhile would change the answers. Machines that the state does
    not know are added to it, including those of nodes that no file names.

    Raises:
        DtkError: the target can't be queried.
    """
    inputs = read_inputs(workspace, service)
    place = _on_target(inputs)
    taken = take_in_unknown(place, inputs.state)
    write_identity(workspace, service, place.found)
    for machine in taken:
        report(Drift(machine.node, f"adopted {machine.id}, which was not in the state"))
    inputs = read_inputs(workspace, service) if taken else inputs

    def note(found: State) -> None:
        StateStore(workspace.state_file(service), inputs.state).change(lambda _: found)

    _as_found(inputs, report, note)
    inputs = read_inputs(workspace, service)
    return _plan_of(inputs, scope, selection), inputs


def _on_target(inputs: Inputs) -> ServiceOnTarget:
    found = find_identity(inputs.workspace, inputs.service.name)
    return ServiceOnTarget(inputs.workspace, inputs.service.name, found, inputs.target)


def _plan_of(inputs: Inputs, scope: Scope, selection: Selection) -> Plan:
    inputs = replace(inputs, target=with_facts(inputs.workspace, inputs.request()))
    findings = tuple(_findings(inputs))
    return compile_plan(replace(inputs.request(scope=scope), findings=findings, selection=selection))


def _as_found(inputs: Inputs, report: Callable[[Drift], None], note: Callable[[State], None]) -> Inputs:
    """Return the inputs with the state of the machines as the target reports it.

    Args:
        inputs: the service.
        report: called with each difference.
        note: called with the new state if it differs.
    """
    if not inputs.state.nodes:
        return inputs
    service = inputs.service.name
    provider = provider_for(inputs.target, inputs.workspace)
    folder = inputs.workspace.service_folder(service)
    identity = ServiceIdentity(service, inputs.state.lineage, folder, workspace=inputs.workspace_id)
    found, drift = look(provider, identity, inputs.state)
    for one in drift:
        report(one)
    if drift:
        note(found)
    blocked = provider.ssh_refusal(identity, [record_of(name, node) for name, node in found.nodes.items()])
    if blocked:
        report(Drift("SSH", f"{blocked}; dtk ssh, or the next task on the nodes, updates the rule"))
    return replace(inputs, state=found)


def _findings(inputs: Inputs) -> list[Finding]:
    """Dry-run the unchanged components on their nodes; the plan already includes the changed ones."""
    plan = compile_plan(inputs.request())
    running = {change.node for change in plan.nodes if change.change == "keep"} - {ASSEMBLY_WIDE}
    unchanged = [
        (change.node, change.component)
        for change in plan.components
        if change.change == "unchanged" and change.node in running
    ]
    if not unchanged:
        return []
    return dry_run(inputs.workspace, compile_plan(inputs.request(scope="all")), unchanged, inputs.folders())

"""``dtk plan --refresh``: asks the target how the nodes are and the nodes what would change; a plan that fixes it."""

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
from dtk.service.shared_store import refuse_change
from dtk.service.unknown_machines import ServiceOnTarget, take_in_unknown
from dtk.state.lock import acquire
from dtk.state.store import StateStore
from dtk.state.workspace import Workspace


def refreshed_plan(
    workspace: Workspace, service: str, scope: Scope, selection: Selection, report: Callable[[Drift], None]
) -> Plan:
    """Return a service's plan with what its target and its nodes say now.

    What became of machines is noted in the state; the nodes are only asked, and nothing of that is kept.

    Args:
        workspace: the workspace.
        service: the service.
        scope: which steps the plan holds.
        selection: the part of the service that the plan is for.
        report: told each difference of a machine.

    Raises:
        LockedError: a task of the service runs.
    """
    refuse_change(workspace)
    # Held to the end: a task in between would change what is being looked at.
    with acquire(workspace.service_folder(service), f"dtk plan {service} --refresh", None):
        for drift in _look(workspace, service):
            report(drift)
        inputs = read_inputs(workspace, service)
        findings = tuple(_findings(inputs))
        return compile_plan(replace(inputs.request(scope=scope), findings=findings, selection=selection))


def _look(workspace: Workspace, service: str) -> list[Drift]:
    inputs = read_inputs(workspace, service)
    rebuilt = _rebuild(inputs)
    inputs = read_inputs(workspace, service) if rebuilt else inputs
    if not inputs.state.nodes:
        return []
    folder = workspace.service_folder(service)
    provider = provider_for(inputs.target, workspace)
    identity = ServiceIdentity(service, inputs.state.lineage, folder, workspace=inputs.workspace_id)
    found, drift = look(provider, identity, inputs.state)
    if drift:
        StateStore(workspace.state_file(service), inputs.state).change(lambda _: found)
    blocked = provider.ssh_refusal(identity, [record_of(name, node) for name, node in found.nodes.items()])
    remedy = "the next task that works on the nodes, and dtk ssh, let it in"
    drift = [*rebuilt, *drift]
    return [*drift, Drift("SSH", f"{blocked}; {remedy}")] if blocked else drift


def _rebuild(inputs: Inputs) -> list[Drift]:
    """Take the machines of the service that the state does not know into it, also those of nodes no file names."""
    found = find_identity(inputs.workspace, inputs.service.name)
    taken = take_in_unknown(ServiceOnTarget(inputs.workspace, inputs.service.name, found, inputs.target), inputs.state)
    write_identity(inputs.workspace, inputs.service.name, found)
    return [Drift(one.node, f"{one.id} was not known here, and is now") for one in taken]


def _findings(inputs: Inputs) -> list[Finding]:
    """Ask the nodes about what is applied there and unchanged: what has changed is in the plan anyway."""
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

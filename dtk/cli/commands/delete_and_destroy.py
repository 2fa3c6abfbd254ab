"""``dtk delete-and-destroy``: terminates a service's nodes, then deletes the service."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dtk.cli.following import Following
from dtk.cli.options import DetachOption, ForceOption, LockWaitOption, YesOption, seconds
from dtk.cli.output import use_color
from dtk.cli.passphrases import ask_passphrases_for
from dtk.cli.running import Change, confirm, read_ending_inputs, run_plan
from dtk.plan.destroy import destroy_plan
from dtk.service.context import chosen_service, current_workspace
from dtk.service.gone import GoneService, gone_services, inputs_of_gone
from dtk.service.holding import holding
from dtk.service.identity import FoundIdentity
from dtk.service.machine_inputs import remembered_identity
from dtk.service.planning import Inputs
from dtk.service.power_status import note_nodes_that_are_off
from dtk.service.unknown_machines import ServiceOnTarget, found_volumes, take_in_unknown
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.views.formatting import counted
from dtk.views.plan_text import plan_text


def delete_and_destroy(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service to destroy.")],
    yes: YesOption = False,
    force: ForceOption = False,
    delete_volumes: Annotated[
        bool, typer.Option("--delete-volumes", help="Also delete the volumes that outlive their nodes (keep: true).")
    ] = False,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Terminate a service's nodes and delete the service.

    Runs the components' delete actions, terminates every node, including those that another clone created, and
    removes services/NAME and all local state except the logs of its tasks. Adopted machines are released and keep
    running. A service whose folder is no longer in git can be destroyed by its name.
    Example: dtk delete-and-destroy dask1 -y
    """
    workspace = current_workspace()
    gone = _gone(workspace, service)
    name = gone.name if gone else chosen_service(workspace, service)
    command, wait = f"dtk delete-and-destroy {name}", seconds(lock_wait)
    known = inputs_of_gone(workspace, gone)[1] if gone else remembered_identity(workspace, name)
    with holding(workspace, name, command, wait, known) as held:
        found = held.found
        # Nothing can run on a machine that is off, or that another clone terminated; delete actions would fail.
        inputs = note_nodes_that_are_off(_with_all_machines(workspace, name, gone, found, force=force))
        # Without its module, the delete actions of its components are unknown.
        is_forced = force or gone is not None or not inputs.modules
        here = ServiceOnTarget(workspace, name, found, inputs.target)
        volumes = found_volumes(here, inputs.state) if delete_volumes else ()
        request = replace(inputs.request(), deletes_volumes=delete_volumes, volumes=volumes)
        plan = destroy_plan(request, force=is_forced)
        if not yes:
            if not plan.is_empty:
                typer.echo(plan_text(plan, color=use_color()))
            what = " and its nodes" if inputs.state.nodes else ", which has no nodes"
            what += f", and {counted(len(volumes), 'kept volume')}" if volumes else ""
            confirm(f"Are you sure you want to delete and destroy service '{name}'{what}?")
        run_plan(inputs, plan, Change(held.lock, found, held.shared), Following(detach=detach))


def _gone(workspace: Workspace, name: str) -> GoneService | None:
    """Return what is left of a service without a file; None if it has a file or if nothing is left."""
    if name in workspace.service_names():
        return None
    return next((one for one in gone_services(workspace) if one.name == name), None)


def _with_all_machines(
    workspace: Workspace, name: str, gone: GoneService | None, found: FoundIdentity, *, force: bool
) -> Inputs:
    """Return the inputs with all machines of the service in its state, including those that another clone created."""
    inputs = (
        inputs_of_gone(workspace, gone)[0]
        if gone
        else read_ending_inputs(workspace, name, "dtk delete-and-destroy", force=force)
    )
    ask_passphrases_for(inputs)
    taken = take_in_unknown(ServiceOnTarget(workspace, name, found, inputs.target), inputs.state)
    for machine in taken:
        typer.echo(f"Found: {machine.node} is {machine.id}, which was not in the state of this folder")
    return replace(inputs, state=load_state(workspace.state_file(name)) or inputs.state) if taken else inputs

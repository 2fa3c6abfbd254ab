"""``dtk destroy-and-reset-nodes``: terminates a service's nodes; the next apply creates them again."""

from __future__ import annotations

import typer

from dtk.cli.following import Following
from dtk.cli.options import DetachOption, ForceOption, LockWaitOption, ServiceArgument, YesOption, seconds
from dtk.cli.output import use_color
from dtk.cli.running import changing, confirm, read_ending_inputs, run_plan
from dtk.plan.destroy import reset_plan
from dtk.service.context import chosen_service, current_workspace
from dtk.service.power_status import note_nodes_that_are_off
from dtk.views.plan_text import plan_text


def destroy_and_reset_nodes(
    service: ServiceArgument = None,
    yes: YesOption = False,
    force: ForceOption = False,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Terminate a service's nodes, but keep the service.

    Runs the components' delete actions and terminates every node; adopted machines are released and keep running.
    services/NAME does not change, and dtk apply creates all nodes again. Example: dtk destroy-and-reset-nodes dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    with changing(workspace, name, f"dtk destroy-and-reset-nodes {name}", seconds(lock_wait)) as change:
        inputs = read_ending_inputs(workspace, name, "dtk destroy-and-reset-nodes", force=force)
        change.refuse_unknown(inputs)
        inputs = note_nodes_that_are_off(inputs)
        plan = reset_plan(inputs.request(), force=force or not inputs.modules)
        if plan.is_empty:
            typer.echo(f"Nothing to do: service '{name}' has no nodes.")
            return
        if not yes:
            typer.echo(plan_text(plan, color=use_color()))
            confirm(f"Are you sure you want to destroy the nodes of service '{name}'?")
        run_plan(inputs, plan, change, Following(detach=detach))

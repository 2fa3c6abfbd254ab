"""``dtk delete-and-destroy``: ends a service's nodes, then deletes the service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import DetachOption, LockWaitOption, YesOption, seconds
from dtk.cli.running import confirm, run_plan
from dtk.plan.destroy import destroy_plan
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import read_inputs
from dtk.views.plan_text import plan_text


def delete_and_destroy(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service to end.")],
    yes: YesOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Leave out the components' delete actions, for nodes that do not answer.")
    ] = False,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """End a service's nodes and delete it.

    Runs the components' delete actions, terminates every node, then removes services/NAME and all local state of it.
    Example: dtk delete-and-destroy dask1 -y
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    inputs = read_inputs(workspace, name)
    plan = destroy_plan(inputs.request(), force=force)
    if not yes:
        typer.echo(plan_text(plan))
        confirm(f"Are you sure you want to delete and destroy service '{name}' and its nodes?")
    run_plan(inputs, plan, detach=detach, lock_wait=seconds(lock_wait), command=f"dtk delete-and-destroy {name}")

"""Powers a service's nodes on or off as a task; shared by start and stop."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.following import Following
from dtk.cli.options import seconds
from dtk.cli.running import changing, run_plan, warn_of_mistake
from dtk.model.target import Power
from dtk.plan.power import power_plan
from dtk.service.context import chosen_with_machines, current_workspace
from dtk.service.machine_inputs import read_machine_inputs, remembered_identity
from dtk.service.open_end import finishes_last_task
from dtk.service.power_status import note_nodes_that_are_off

NodeArgument = Annotated[str | None, typer.Argument(metavar="[NODE]", help="A node or a group. Default: all nodes.")]


def run_power(power: Power, service: str | None, node: str | None, *, detach: bool, lock_wait: str) -> None:
    """Run the task that powers a node, a group or all nodes on or off, or report that there is nothing to do."""
    workspace = current_workspace()
    name = chosen_with_machines(workspace, service)
    words = " ".join(["dtk", power, name, *([node] if node else [])])
    known = remembered_identity(workspace, name)
    with changing(workspace, name, words, seconds(lock_wait), known) as change:
        inputs, invalid = read_machine_inputs(workspace, name)
        if invalid:
            warn_of_mistake(invalid, "started" if power == "start" else "stopped")
        change.refuse_unknown(inputs)
        if power == "start":
            inputs = note_nodes_that_are_off(inputs)
        plan = power_plan(inputs.request(workflow=""), power, node or "")
        if plan.is_empty and not finishes_last_task(workspace, plan):
            done = "started" if power == "start" else "stopped"
            typer.echo(f"Nothing to do: no node of service '{name}' has to be {done}.")
            return
        for one in plan.nodes:
            if one.reason:
                typer.echo(f"warning: {one.node}: {one.reason}; its step will fail", err=True)
        run_plan(inputs, plan, change, Following(detach=detach))

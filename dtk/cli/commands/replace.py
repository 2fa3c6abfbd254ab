"""``dtk replace``: replaces the machines of nodes, a few at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.following import Following
from dtk.cli.options import (
    CanaryOption,
    DetachOption,
    ForceOption,
    LockWaitOption,
    MaxInFlightOption,
    YesOption,
    seconds,
)
from dtk.cli.running import changing, run_plan, show_and_ask
from dtk.plan.rounds import Replacement
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import make_plan


def replace(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    node: Annotated[str, typer.Argument(metavar="NODE|GROUP", help="The node or group whose machines are replaced.")],
    max_in_flight: MaxInFlightOption = "",
    canary: CanaryOption = 0,
    force: ForceOption = False,
    yes: YesOption = False,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Replace the machines of nodes, a few at a time.

    New machines are created as the service's files define them now. Members keep their numbers. Each round replaces
    max_in_flight members of a group (default: one): the scale_down workflow and the delete actions run, the machines
    are terminated, new ones are created and converged, and the tests must succeed before the next round.
    Example: dtk replace spark1 slaves --canary 1 --max-in-flight 25%
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    replacement = Replacement((node,), max_in_flight, canary, force)
    with changing(workspace, name, f"dtk replace {name} {node}", seconds(lock_wait)) as change:
        plan, inputs = make_plan(workspace, name, replacement=replacement, asks_target=True)
        change.refuse_unknown(inputs, strict=False)
        show_and_ask(plan, ask=not yes)
        run_plan(inputs, plan, change, Following(detach=detach))

"""``dtk adopt``: gives a node a machine that exists and that dtk did not create."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import LockWaitOption, seconds
from dtk.cli.passphrases import ask_passphrases_for
from dtk.service.adoption import adopt_machine
from dtk.service.context import chosen_service, current_workspace
from dtk.service.holding import holding
from dtk.service.planning import read_inputs


def adopt(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node without a machine; of a group, a member.")],
    machine: Annotated[str, typer.Argument(metavar="INSTANCE_ID", help="A running instance: i-….")],
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Give a node a machine that exists and that dtk did not create.

    dtk logs in to it with the user and the key of the service's target, and tags it. The next apply converges it. dtk
    never terminates it: when its node goes, its components are deleted, its tags are removed, and it keeps running.
    Example: dtk adopt spark1 slaves:2 i-0a1b2c3d4e5f60718
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    with holding(workspace, name, f"dtk adopt {name} {node} {machine}", seconds(lock_wait)) as held:
        inputs = read_inputs(workspace, name)
        ask_passphrases_for(inputs)
        is_new = adopt_machine(inputs, held.found, node, machine)
    typer.echo(
        f"{machine} is {node} of '{name}' {'now' if is_new else 'already'}; dtk will release it, not terminate it"
    )
    typer.echo(f"next: dtk plan {name}")

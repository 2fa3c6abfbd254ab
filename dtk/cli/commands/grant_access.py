"""``dtk grant-access``: lets a person log in to a service's nodes with their own key."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from dtk.cli.access import check_keeps_keys, public_key, record_access
from dtk.cli.options import LockWaitOption, PersonArgument, ServiceNameArgument, seconds
from dtk.errors import UsageError
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import read_inputs

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


def grant_access(
    service: ServiceNameArgument,
    person: PersonArgument,
    key: Annotated[
        str, typer.Argument(metavar="[KEY]", help="The public key or its file. Default: your own in ~/.ssh.")
    ] = "",
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Give a person SSH access to a service's nodes.

    The key is written to service.yaml and installed on running nodes at once, on others when they are created.
    Everybody logs in as the nodes' own user, as dtk ssh does.
    Example: dtk grant-access dask1 alice alice.pub
    """
    if not _NAME.fullmatch(person):
        raise UsageError(f"invalid name '{person}': use letters, digits and . _ @ -, beginning with a letter or digit")
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    check_keeps_keys(read_inputs(workspace, name))
    command = f"dtk grant-access {name} {person}"
    raise typer.Exit(
        record_access(workspace, name, person, public_key(key), command=command, lock_wait=seconds(lock_wait))
    )

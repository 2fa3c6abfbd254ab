"""``dtk revoke-access``: removes a person's key from a service's nodes."""

from __future__ import annotations

import typer

from dtk.cli.access import record_access
from dtk.cli.options import LockWaitOption, PersonArgument, ServiceNameArgument, seconds
from dtk.errors import UsageError
from dtk.model.suggestion import did_you_mean
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import read_inputs


def revoke_access(service: ServiceNameArgument, person: PersonArgument, lock_wait: LockWaitOption = "0s") -> None:
    """Remove a person's SSH access to a service's nodes.

    The key is removed from running nodes at once, from others by the next task that changes them. Open sessions
    stay open. Example: dtk revoke-access dask1 alice
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    known = [one for one, key in read_inputs(workspace, name).service.access.items() if key]
    if person not in known:
        hint = did_you_mean(person, known, f"dtk list-ssh-access {name}")
        raise UsageError(f"'{person}' was not granted access to service '{name}'", hint=hint)
    command = f"dtk revoke-access {name} {person}"
    raise typer.Exit(record_access(workspace, name, person, None, command=command, lock_wait=seconds(lock_wait)))

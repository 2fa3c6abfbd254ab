"""``dtk gc``: removes module files that finished tasks keep on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.service.context import chosen_service, current_workspace
from dtk.service.disk_space import Freed, remove_copies_of_module_files

_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def gc(
    service: Annotated[
        str | None, typer.Argument(metavar="[SERVICE]", help="The service. Default: all services.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove module files that earlier tasks copied.

    Each task keeps a copy of the files that it puts on nodes. The copies of a service's last task, all plans and
    all logs are kept. Example: dtk gc
    """
    workspace = current_workspace()
    names = [chosen_service(workspace, service)] if service else workspace.service_names()
    freed = remove_copies_of_module_files(workspace, names)
    if as_json:
        print_json([{"service": one.service, "tasks": one.tasks, "bytes": one.size} for one in freed])
        return
    for one in freed:
        typer.echo(f"{one.service}: {_said(one)}")


def _said(freed: Freed) -> str:
    if not freed.tasks:
        return "nothing to remove"
    return f"removed the module files of {freed.tasks} task{'s' if freed.tasks > 1 else ''}, {_size_text(freed.size)}"


def _size_text(size: int) -> str:
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"

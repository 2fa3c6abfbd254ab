"""``dtk uninstall``: removes an installed module."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.service.context import current_workspace
from dtk.service.lookup import checked_module_name
from dtk.state.edit_lock import editing


def uninstall(
    module: Annotated[str, typer.Argument(metavar="MODULE", help="The module, as ns:name.")],
) -> None:
    """Remove an installed module and the modules that only it needed.

    Refused while a module or a service uses it. Example: dtk uninstall bigtop:spark
    """
    from dtk.sources.install import uninstall as work  # noqa: PLC0415 - the YAML parser and the schemas

    workspace = current_workspace()
    with editing(workspace.file):
        work(workspace, checked_module_name(module), typer.echo)

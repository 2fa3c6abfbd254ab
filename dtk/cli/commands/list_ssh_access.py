"""``dtk list-ssh-access``: who can log in to a service's nodes."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.model.access import SETTING, fingerprint
from dtk.model.settings import texts
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import find_target, read_inputs
from dtk.views.listing_table import format_table


def list_ssh_access(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List who can log in to a service's nodes.

    Example: dtk list-ssh-access dask1
    """
    workspace = current_workspace()
    inputs = read_inputs(workspace, chosen_service(workspace, service))
    target = find_target(workspace, inputs.service)
    granted = [(name, fingerprint(key), "service.yaml") for name, key in inputs.service.access.items() if key]
    of_target = [(_comment(text), fingerprint(text), "dtk.yaml") for text in texts(target.settings, SETTING)]
    rows = [*granted, *of_target]
    if as_json:
        print_json([{"name": name, "fingerprint": mark, "from": source} for name, mark, source in rows])
    else:
        typer.echo(format_table(["name", "fingerprint", "from"], [list(row) for row in rows]), nl=False)


def _comment(text: str) -> str:
    """Return the owner of a key: its comment, or the name of its file."""
    return text.partition(" ")[2].partition(" ")[2] or text if fingerprint(text) else text

"""``dtk ls``: lists the services of the workspace from their files and states."""

from __future__ import annotations

from datetime import datetime

import typer

from dtk.cli.options import ChangedSinceOption, JsonOption
from dtk.cli.output import print_json
from dtk.cli.services import chosen_services
from dtk.dsl.service import load_service
from dtk.errors import DtkError, InvalidError
from dtk.service.context import current_workspace
from dtk.service.planned_nodes import planned_nodes
from dtk.service.service_status import service_status
from dtk.service.shared_store import read_state
from dtk.service.task_log import last_task
from dtk.state.model import State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.views.formatting import table_time
from dtk.views.listing_table import format_table, stable_id

_LISTED = ["service_instance", "status", "last_run", "assembly_template", "target", "nodes"]


_HEADERS = ["id", "assembly_name", "status", "last_run", "assembly_template", "target", "# nodes", "created_at"]


def ls(changed_since: ChangedSinceOption = None, as_json: JsonOption = False) -> None:
    """List the service instances of the workspace.

    For a service without nodes, # NODES counts the planned ones. Example: dtk ls
    """
    workspace = current_workspace()
    rows = [_service_row(workspace, name) for name in chosen_services(workspace, changed_since)]
    if as_json:
        print_json(rows)
        return
    table = [
        [stable_id(str(row["service_instance"])), *(str(row[key]) for key in _LISTED), _created(str(row["created_at"]))]
        for row in rows
    ]
    typer.echo(format_table(_HEADERS, table), nl=False)


def _created(text: str) -> str:
    return table_time(datetime.fromisoformat(text)) if text else ""


def _service_row(workspace: Workspace, name: str) -> dict[str, object]:
    read_state(workspace, name)
    try:
        state = load_state(workspace.state_file(name)) or State(name, "")
    except DtkError as error:
        # List the other services anyway.
        typer.echo(f"{name}: {error.message}", err=True)
        state = None
    task = last_task(workspace, name)
    row = {
        "service_instance": name,
        "status": service_status(state) if state else "unreadable",
        "last_run": task.status if task else "",
        "nodes": len(state.nodes) if state else "",
        "created_at": state.created_at if state else "",
    }
    try:
        service = load_service(workspace.service_file(name), workspace.root)
    except InvalidError:
        return {**row, "status": "invalid" if state else row["status"], "assembly_template": "", "target": ""}
    assembly = f"{service.module.replace('/', ':')}/{service.assembly}"
    if state and not state.nodes:
        row["nodes"] = len(planned_nodes(workspace, name, state))
    return {**row, "assembly_template": assembly, "target": service.target}

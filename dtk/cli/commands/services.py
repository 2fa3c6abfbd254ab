"""``dtk ls`` and ``dtk list-nodes``: what there is, from files and state alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from dtk.cli.options import JsonOption, ServiceArgument, YesOption
from dtk.cli.output import print_json
from dtk.dsl.service import load_service
from dtk.errors import DtkError, InvalidError, UsageError
from dtk.model.names import node_order
from dtk.service.context import chosen_service, current_workspace
from dtk.service.task_log import last_task
from dtk.state.model import NodeState, State
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.views.listing import format_table
from dtk.views.text import table_time

_LISTED = ["service_instance", "status", "last_run", "assembly_template", "target", "nodes"]
_HEADERS = ["id", "assembly_name", "status", "last_run", "assembly_template", "target", "# nodes", "created_at"]


def ls(as_json: JsonOption = False) -> None:
    """List the service instances of the workspace.

    Example: dtk ls
    """
    workspace = current_workspace()
    rows = [_service_row(workspace, name) for name in workspace.service_names()]
    if as_json:
        print_json(rows)
        return
    table = [
        [str(index), *(str(row[key]) for key in _LISTED), _created(row["created_at"])]
        for index, row in enumerate(rows, start=1)
    ]
    typer.echo(format_table(_HEADERS, table), nl=False)


def _created(text: str) -> str:
    return table_time(datetime.fromisoformat(text)) if text else ""


def _service_row(workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        state = load_state(workspace.state_file(name)) or State(name, "")
    except DtkError as error:
        # The others are there all the same.
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
    return {**row, "assembly_template": assembly, "target": service.target}


def service_status(state: State) -> str:
    """Return a service's status in one word, and how many of its nodes run where they do not all.

    Source: docs/original.md 3.2; that a half-running service says so is dtk's own (7).
    """
    counts = Counter(node.status for node in state.nodes.values())
    if not counts or set(counts) == {"pending"}:
        return "pending"
    if len(counts) == 1:
        return next(iter(counts))
    if counts["running"]:
        return f"running({counts['running']}/{counts.total()})"
    return "stopped" if counts["stopped"] else ""


def list_nodes(
    service: ServiceArgument = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="List instances tagged as this workspace's that no state knows.")
    ] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="With --orphans: take them into their services.")] = False,
    terminate: Annotated[bool, typer.Option("--terminate", help="With --orphans: end them for good.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List a service's nodes and their addresses.

    Groups are listed by their members. Example: dtk list-nodes dask1
    """
    if ((adopt or terminate) and not orphans) or (adopt and terminate):
        raise UsageError("--adopt and --terminate are for --orphans, one of them at a time", hint="dtk list-nodes -h")
    if orphans:
        from dtk.cli.commands import orphans as of_targets  # noqa: PLC0415 - asks AWS, which a listing never does

        of_targets.orphans(take_in=adopt, terminate=terminate, yes=yes, as_json=as_json)
        return
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    state = load_state(workspace.state_file(name)) or State(name, "")
    nodes = {node: state.nodes[node] for node in sorted(state.nodes, key=node_order)}
    if as_json:
        print_json([{"node": node, **asdict(record)} for node, record in nodes.items()])
        return
    headers = ["id", "name", "instance_id", "size", "os", "op_status", "dns_name"]
    rows = [[str(i), *_node_row(node, nodes[node])] for i, node in enumerate(nodes, start=1)]
    typer.echo(format_table(headers, rows), nl=False)


def _node_row(name: str, node: NodeState) -> list[str]:
    """A stopped node has no address, as in the original (5.8)."""
    known = str(node.attributes.get("dns_name") or node.attributes.get("host_address", ""))
    address = known if node.status == "running" else ""
    size, system = (str(node.attributes.get(key, "")) for key in ("size", "os"))
    return [name, node.id, size, system, node.status, address]

"""``dtk list-nodes``: a service's nodes and their addresses, or machines that no state knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dtk.cli.options import JsonOption, ServiceArgument, YesOption
from dtk.cli.output import print_json
from dtk.errors import UsageError
from dtk.model.names import node_order
from dtk.model.target import ADOPTED
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planned_nodes import PLANNED, planned_nodes
from dtk.state.model import NodeState, State
from dtk.state.store import load_state
from dtk.views.listing_table import format_table, stable_id, status_text

if TYPE_CHECKING:
    from dtk.nodes.provider import MarkSearch


def list_nodes(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: ServiceArgument = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="List this workspace's instances that no state contains.")
    ] = False,
    lineage: Annotated[
        str,
        typer.Option("--lineage", metavar="ID", help="With --orphans: of the service with this id, of any workspace."),
    ] = "",
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="KEY=VALUE", help="With --orphans: with this tag, of any workspace; repeatable."),
    ] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="With --orphans: adopt them into their services.")] = False,
    terminate: Annotated[
        bool,
        typer.Option("--terminate", help="With --orphans: terminate them permanently; adopted ones are released."),
    ] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List a service's nodes and their addresses.

    Groups are listed member by member. Nodes that the next plan would create are shown as planned;
    --json lists existing nodes. Example: dtk list-nodes dask1
    """
    if (adopt or terminate or lineage or tag) and not orphans:
        raise UsageError("--adopt, --terminate, --lineage and --tag need --orphans", hint="dtk list-nodes -h")
    if adopt and terminate:
        raise UsageError("--adopt and --terminate cannot be used together", hint="dtk list-nodes -h")
    if orphans:
        from dtk.cli.orphans import show_orphans  # noqa: PLC0415 - queries AWS, which listings never do

        show_orphans(_search(lineage, tag or ()), adopt=adopt, terminate=terminate, yes=yes, as_json=as_json)
        return
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    state = load_state(workspace.state_file(name)) or State(name, "")
    if as_json:
        # JSON lists what exists, for programs that connect to the nodes; the planned nodes are in the plan's JSON.
        existing = sorted(state.nodes.items(), key=lambda entry: node_order(entry[0]))
        print_json([{"node": node, **asdict(record)} for node, record in existing])
        return
    planned = {node: NodeState("", PLANNED) for node in planned_nodes(workspace, name, state)}
    nodes = dict(sorted({**state.nodes, **planned}.items(), key=lambda entry: node_order(entry[0])))
    headers = ["id", "name", "instance_id", "size", "os", "op_status", "dns_name"]
    rows = [[stable_id(node), *_node_row(node, nodes[node])] for node in nodes]
    typer.echo(format_table(headers, rows), nl=False)


def _search(lineage: str, tags: Sequence[str]) -> MarkSearch | None:
    """Return what the marks of machines must contain; None for this workspace's id."""
    from dtk.nodes.provider import MarkSearch  # noqa: PLC0415 - listings need no providers

    if wrong := next((tag for tag in tags if not tag.partition("=")[2]), ""):
        raise UsageError(f"'{wrong}' is not a tag", hint="--tag KEY=VALUE, for example --tag team=data")
    pairs = (tag.partition("=") for tag in tags)
    return MarkSearch(lineage=lineage, tags={key: value for key, _, value in pairs}) if lineage or tags else None


def _node_row(name: str, node: NodeState) -> list[str]:
    """Return the cells of a node; a stopped node has no address, as in the original (5.8)."""
    known = str(node.attributes.get("dns_name") or node.attributes.get("host_address", ""))
    address = known if node.status == "running" else ""
    size, system = (str(node.attributes.get(key, "")) for key in ("size", "os"))
    return [
        name,
        node.id,
        size,
        system,
        status_text(node.status, is_adopted=node.attributes.get(ADOPTED) is True),
        address,
    ]

"""``dtk list-assemblies``: the assemblies that can be staged."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.dsl.catalog import load_catalog
from dtk.model.module import Assembly, Module, Node
from dtk.service.context import current_workspace
from dtk.views.listing_table import format_table, stable_id


def list_assemblies(
    module: Annotated[
        str | None, typer.Argument(metavar="[MODULE]", help="Only those of this module (ns:name).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the assemblies that can be staged.

    Example: dtk list-assemblies dtk:dask
    """
    catalog = load_catalog(current_workspace())
    modules = [catalog.find(name) for name in ([module] if module else catalog.names())]
    found = [(owner, assembly) for owner in modules for assembly in owner.assemblies.values()]
    if as_json:
        print_json([_document(owner, assembly) for owner, assembly in found])
        return
    rows = [
        [stable_id(name := full_name(owner, assembly)), name, str(node_count(assembly)), assembly.description]
        for owner, assembly in found
    ]
    typer.echo(format_table(["id", "assembly_name", "nodes", "description"], rows), nl=False)


def full_name(module: Module, assembly: Assembly) -> str:
    """Return an assembly's name as users type it, such as ``dtk:dask/cluster``."""
    return f"{module.name.replace('/', ':')}/{assembly.name}"


def node_count(assembly: Assembly) -> int:
    """Return the number of machines of an assembly, counting the members of groups (docs/original.md 3.2)."""
    return sum(_members(node, assembly) if node.is_group else 1 for node in assembly.nodes.values())


def _members(node: Node, assembly: Assembly) -> int:
    if isinstance(node.cardinality, int):
        return node.cardinality
    from dtk.dsl.template.assembly import with_defaults  # noqa: PLC0415 - Jinja2, only for templates

    number = with_defaults(node.cardinality, assembly.attributes)
    return int(str(number)) if str(number).isdigit() else 1


def _document(module: Module, assembly: Assembly) -> dict[str, object]:
    return {
        "assembly": full_name(module, assembly),
        "module": module.name,
        "nodes": node_count(assembly),
        "description": assembly.description,
        "workflows": list(assembly.workflows),
    }

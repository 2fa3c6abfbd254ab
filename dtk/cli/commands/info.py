"""``dtk info`` and ``dtk list-components``: of a module, of an assembly, of a service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.commands.module_info import module_info, names_a_module
from dtk.cli.commands.module_lists import list_module_components
from dtk.cli.options import JsonOption
from dtk.errors import UsageError
from dtk.service.context import current_workspace

NodeOption = Annotated[str | None, typer.Option("--node", "-n", metavar="NODE", help="Only this node's or group's.")]
DepsOption = Annotated[bool, typer.Option("--deps", "-l", help="What each depends on, and what satisfies that.")]


def info(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[SERVICE|MODULE[/ASSEMBLY]]", help="A service; a module or assembly, as ns:name."),
    ] = None,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="A node of the service.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a module's reference as Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe a service, a node, a module or an assembly.

    Of a module: components, attributes, actions, nodes, workflows.
    Examples: dtk info dask1 master, dtk info dtk:dask --markdown
    Example: dtk info dask1
    """
    if what and _is_module(what):
        if node:
            raise UsageError(f"'{what}' is a module, and only services have nodes", hint="dtk info SERVICE NODE")
        module_info(what, markdown=markdown, as_json=as_json)
        return
    if markdown:
        raise UsageError("--markdown describes modules", hint="dtk info MODULE --markdown")
    from dtk.cli.commands.service_info import node_info, service_info  # noqa: PLC0415 - modules need none of it

    if node:
        node_info(what, node, as_json=as_json)
    else:
        service_info(what, as_json=as_json)


def list_components(
    what: Annotated[
        str | None, typer.Argument(metavar="[SERVICE|MODULE]", help="A service; or a module, as ns:name.")
    ] = None,
    node: NodeOption = None,
    dependencies: DepsOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the components of a service or of a module.

    Example: dtk list-components dask1 --deps
    """
    if what and _is_module(what):
        if node or dependencies:
            raise UsageError("--node and --deps are for services", hint=f"dtk info {what}")
        list_module_components(what, as_json=as_json)
        return
    from dtk.cli.commands.list_links import list_service_components  # noqa: PLC0415 - modules need none of it

    list_service_components(what, node, dependencies=dependencies, as_json=as_json)


def _is_module(what: str) -> bool:
    return names_a_module(what) and what not in current_workspace().service_names()

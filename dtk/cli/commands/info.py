"""``dtk info``: describes a service, a node, a module or an assembly."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.describe_module import module_info
from dtk.cli.options import JsonOption
from dtk.errors import UsageError
from dtk.service.lookup import means_module


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

    For a module: components, attributes, actions, nodes and workflows.
    Example: dtk info dtk:dask --markdown
    Example: dtk info dask1
    """
    if what and means_module(what):
        if node:
            raise UsageError(f"'{what}' is a module, and only services have nodes", hint="dtk info SERVICE NODE")
        module_info(what, markdown=markdown, as_json=as_json)
        return
    if markdown:
        raise UsageError("--markdown describes modules", hint="dtk info MODULE --markdown")
    from dtk.cli.describe_service import node_info, service_info  # noqa: PLC0415 - not needed for modules

    if node:
        node_info(what, node, as_json=as_json)
    else:
        service_info(what, as_json=as_json)

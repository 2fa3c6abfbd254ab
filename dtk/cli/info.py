"""``dtk info`` and ``dtk list-components``."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.module_info import module_info, names_a_module
from dtk.cli.module_lists import list_module_components
from dtk.cli.options import JsonOption
from dtk.errors import UsageError


def info(
    what: Annotated[str, typer.Argument(metavar="MODULE[/ASSEMBLY]", help="A module or an assembly, as ns:name.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference as Markdown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe a module or an assembly: components, attributes, actions, nodes, workflows.

    Example: dtk info dtk:dask --markdown
    """
    _check(what)
    module_info(what, markdown=markdown, as_json=as_json)


def list_components(
    what: Annotated[str, typer.Argument(metavar="MODULE", help="A module, as ns:name.")],
    as_json: JsonOption = False,
) -> None:
    """List the components of a module.

    Example: dtk list-components dtk:dask
    """
    _check(what)
    list_module_components(what, as_json=as_json)


def _check(what: str) -> None:
    if not names_a_module(what):
        raise UsageError(f"'{what}' is not a module's name", hint="write it as ns:name; dtk list-modules")

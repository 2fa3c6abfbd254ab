"""``dtk version``: prints dtk's version."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk import __version__
from dtk.cli.output import print_json


def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Print the version of dtk.

    Example: dtk version
    """
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(f"dtk {__version__}")

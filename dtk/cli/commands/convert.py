"""``dtk convert``: converts modules of the original DTK."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json, shown_path
from dtk.dsl.catalog import load_catalog
from dtk.errors import InvalidError, Problem
from dtk.service.context import current_workspace


def convert(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="A module of the original, or a folder with several.", exists=True, file_okay=False
        ),
    ],
    namespace: Annotated[
        str,
        typer.Option(
            "--namespace", metavar="NS", help="The modules' namespace. Default: the name of the folder above them."
        ),
    ] = "",
    tree: Annotated[
        bool,
        typer.Option(
            "--tree",
            help="DIR is a tree with component_modules/NS/NAME and service_modules/NS/NAME: convert all of it.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write NS/NAME to this folder. Default: modules/.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert modules of the original DTK (2015 and unified ones), and list what cannot be converted.

    Exit code 3 if the converted modules are not valid yet. Example: dtk convert ~/dtk/component_modules/bigtop
    """
    from dtk.convert.module import convert as read  # noqa: PLC0415 - the YAML parser, only when used
    from dtk.convert.write import write_module  # noqa: PLC0415 - as above

    modules, notes = read(folder, namespace, whole_tree=tree)
    root = out or current_workspace().modules
    written = [write_module(module, root) for module in modules]
    problems = [] if out else _problems([module.name for module in modules])
    if as_json:
        entries = [{"location": str(n.location), "path": n.path, "message": n.message} for n in notes]
        print_json({"modules": [m.name for m in modules], "notes": entries, "problems": [str(p) for p in problems]})
    else:
        _print_result([shown_path(path) for path in written], [str(note) for note in notes])
    if problems:
        raise InvalidError(
            "the converted modules are not valid yet", problems, hint="fix these places, then: dtk validate"
        )


def _problems(names: list[str]) -> list[Problem]:
    catalog = load_catalog(current_workspace())
    found: dict[Problem, None] = {}
    for name in names:
        try:
            catalog.find(name)
        except InvalidError as error:
            found |= dict.fromkeys(error.problems)
    return list(found)


def _print_result(written: list[str], notes: list[str]) -> None:
    for path in written:
        typer.echo(f"Converted to {path}")
    if notes:
        typer.echo(f"\nNot converted exactly, {len(notes)} in total:")
        typer.echo("\n".join(f"  {note}" for note in notes))

"""The dialog that asks for missing attributes and sets them, like that of the original (docs/original.md 2.3)."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.output import print_json
from dtk.dsl.yaml.edit import set_attributes
from dtk.errors import UsageError
from dtk.plan.resolve.rows import AttributeRow
from dtk.service.attribute_value import checked_value
from dtk.service.planning import Inputs

BOX_WIDTH = 72


_HIDDEN = "(hidden)"


def fill_in(inputs: Inputs, rows: Sequence[AttributeRow]) -> dict[str, object]:
    """Ask for a value of each attribute until all are valid and confirmed.

    Returns:
        The typed values by path; nothing is written.

    Raises:
        typer.Exit: the user pressed ^C or ended the input.
    """
    try:
        typer.echo("Please fill in missing data.")
        while True:
            values = {row.path: _asked(inputs, row) for row in rows}
            typer.echo(_box(rows, values))
            if _line("Is provided information ok? (yes|no) ").strip().lower() in ("yes", "y"):
                return values
    except (EOFError, KeyboardInterrupt, typer.Abort):
        typer.echo("\nYou have decided to skip correction wizard.")
        raise typer.Exit(130) from None


def _asked(inputs: Inputs, row: AttributeRow) -> object:
    while True:
        typer.echo(f"Please enter {row.path} [{row.type.upper()}]:")
        text = _line(": ", hidden=row.hidden or row.secret)
        if not text:
            continue
        try:
            return checked_value(inputs, row.path, text)
        except UsageError as error:
            typer.echo(error.message)


def _line(prompt: str, *, hidden: bool = False) -> str:
    if hidden and sys.stdin.isatty():
        import getpass  # noqa: PLC0415 - only for hidden input

        return getpass.getpass(prompt)
    typer.echo(prompt, nl=False)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


def _box(rows: Sequence[AttributeRow], values: dict[str, object]) -> str:
    lines = [f"{r.path} : {_HIDDEN if r.hidden or r.secret else values[r.path]}" for r in rows]
    return "\n".join([" DATA ".center(BOX_WIDTH, "-"), *lines, "-" * BOX_WIDTH])


def ask_and_set(inputs: Inputs, rows: list[AttributeRow], *, as_json: bool = False) -> None:
    """Ask for the values of attributes and write them to the service's file."""
    if not rows:
        print_json({"status": "OK", "changed": False}) if as_json else typer.echo("There is nothing to fill in.")
        return
    name = inputs.service.name
    set_attributes(inputs.workspace.service_file(name), fill_in(inputs, rows))
    print_edit_result(inputs.workspace, name, as_json=as_json)

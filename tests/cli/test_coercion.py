"""Conversion of arguments to their types: valid values by the fast path, invalid ones with typer's own messages."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as some

from dtk.cli.coercion import QuickCommand


class Color(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


def command(quick: bool, seen: list[object]) -> typer.core.TyperCommand:
    def work(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        number: Annotated[int | None, typer.Option()] = None,
        most: Annotated[int, typer.Option(min=1)] = 3,
        file: Annotated[Path | None, typer.Option()] = None,
        folder: Annotated[Path | None, typer.Option(exists=True, file_okay=False)] = None,
        color: Annotated[Color, typer.Option()] = Color.RED,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        seen.extend((words, number, most, file, folder, color, loud))

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("work", cls=QuickCommand if quick else None)(work)
    found = typer.main.get_command(app)
    assert isinstance(found, typer.core.TyperCommand)
    return found


def outcome(quick: bool, arguments: list[str]) -> list[object]:
    """Return the value that a command received, or the error for its arguments."""
    seen: list[object] = []
    try:
        command(quick, seen).main(list(arguments), standalone_mode=False)
    except typer.TyperException as error:
        return [error.format_message()]
    return seen


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b c"],
        ["--number", "7"],
        ["--number", "-7"],
        ["--number", "seven"],
        ["--number", "9" * 400],
        ["--most", "2"],
        ["--most", "0"],
        ["--file", "/no/such"],
        ["--folder", "/"],
        ["--folder", "/no/such"],
        ["--folder", "/etc/passwd"],
        ["--color", "blue"],
        ["--color", "Blue"],
        ["--color", "green"],
        ["--loud"],
        ["--louder"],
    ],
    ids=" ".join,
)
def test_arguments_are_taken_and_refused_as_typer_does(arguments: list[str]) -> None:
    assert outcome(True, arguments) == outcome(False, arguments)


@given(some.lists(some.sampled_from(["--number", "--most", "--file", "--color", "--loud", "1", "x", "red", "", "٣"])))
def test_any_line_ends_as_typer_ends_it(arguments: list[str]) -> None:
    assert outcome(True, arguments) == outcome(False, arguments)

"""How commands print: colour, JSON, paths, files that were asked for."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

import typer

from dtk.errors import DtkError
from dtk.service.global_options import settings
from dtk.state.files import replace_file


def use_color(output: TextIO | None = None) -> bool:
    """Say whether output (standard output unless given) may be coloured: a terminal that can, and nobody said no."""
    plain = settings().no_color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return (output or sys.stdout).isatty() and not plain


def says_yes(question: str, default: str = "no") -> bool:
    """Ask a yes-or-no question as the original did; an empty answer is the default."""
    answer: str = typer.prompt(f"{question} (yes|no)", default=default, show_default=False)
    return answer.strip().lower() in ("yes", "y")


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def shown_path(path: Path) -> str:
    """Return a path as people would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def write_file(path: Path, text: str) -> None:
    """Write a file that a command was asked for, in one step; ``-`` is standard output.

    A device or a pipe (``/dev/stdout``) is written to: it must not be replaced by a file. Where a symlink leads to a
    file, that file is replaced. What is written is for its owner alone: a plan has hidden values in it.

    Raises:
        DtkError: it can't be written.
    """
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            replace_file(path.resolve(), text)
    except OSError as error:
        raise DtkError(f"{path} can't be written: {error.strerror}") from error

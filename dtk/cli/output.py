"""How commands print: color, JSON, paths and requested files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

import typer

from dtk.disk.files import replace_file
from dtk.errors import DtkError
from dtk.service.global_options import settings


def use_color(output: TextIO | None = None) -> bool:
    """Return whether output (standard output by default) may be colored: on a capable terminal, unless switched off."""
    plain = settings().no_color or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return (output or sys.stdout).isatty() and not plain


def says_yes(question: str, default: str = "no") -> bool:
    """Ask a yes-or-no question as the original did; an empty answer means the default."""
    answer: str = typer.prompt(f"{question} (yes|no)", default=default, show_default=False)
    return answer.strip().lower() in ("yes", "y")


def print_json(value: object) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def shown_path(path: Path) -> str:
    """Return a path relative to the current folder, if it is inside it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def write_file(path: Path, text: str) -> None:
    """Write a requested file atomically; ``-`` is standard output.

    A device or pipe (``/dev/stdout``) is written to, because it must not be replaced by a file. A symlink is followed
    and its target is replaced. Only the owner can read the file, because a plan contains hidden values.

    Raises:
        DtkError: the file can't be written.
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

"""Writes docs/commands.md from every command's --help; a test fails if the file is out of date."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from dtk.cli.registry import COMMANDS

HERE = Path(__file__).resolve().parent
HEAD = """# Commands

Made from each command's own `--help` by `python docs/make_commands.py`.
"""


def help_text(*words: str) -> str:
    """Return a command's ``--help``, 100 columns wide."""
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    command = [sys.executable, "-m", "dtk", *words, "--help"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def reference() -> str:
    """Return the whole of docs/commands.md."""
    parts = [HEAD, f"```text\n{help_text()}\n```\n"]
    for area, entries in groupby(COMMANDS.values(), key=lambda entry: entry.area):
        parts.append(f"## {area}\n")
        parts += [f"### dtk {entry.name}\n\n```text\n{help_text(entry.name)}\n```\n" for entry in entries]
    return "\n".join(parts)


if __name__ == "__main__":
    (HERE / "commands.md").write_text(reference())

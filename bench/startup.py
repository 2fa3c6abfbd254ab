"""Benchmark of commands that a person waits for, beside the start of Python and a minimal program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.logs import write_log
from bench.sampling import HEAD, command, in_turn, row, table
from bench.workspaces import DTK, spark

MINIMAL = """\
import typer
app = typer.Typer()
@app.command()
def one(name: str = typer.Option("x")) -> None: print(name)
@app.command()
def two() -> None: print("two")
app()
"""


def startup(folder: Path, rounds: int) -> str:
    """Return the table of start-up, measured in a workspace of one service of three nodes."""
    place = spark(folder / "startup", 2)
    (place / "minimal.py").write_text(MINIMAL)
    write_log(place / "task.jsonl", 32)
    minimal, imports = "a minimal typer command", "import typer"
    words: dict[str, Sequence[str]] = {
        imports: (sys.executable, "-c", "import typer"),
        minimal: (sys.executable, "minimal.py", "one"),
        "dtk --help": (DTK, "--help"),
        "dtk ls": (DTK, "ls"),
        "dtk task-status (35 rows)": (DTK, "task-status", "--log", "task.jsonl"),
        "dtk plan (3 nodes)": (DTK, "plan"),
        "pyinfra --version": (str(Path(DTK).with_name("pyinfra")), "--version"),
    }
    taken = in_turn(rounds, {name: lambda w=w: command(w, place) for name, w in words.items()})
    rows = [row(imports, taken[imports], None), row(minimal, taken[minimal], taken[imports], imports)]
    for name in ("dtk --help", "dtk plan (3 nodes)", "pyinfra --version"):
        rows.append(row(name, taken[name], taken[imports], imports))
    for name in ("dtk ls", "dtk task-status (35 rows)"):
        rows.append(row(name, taken[name], taken[minimal], minimal))
    return table(HEAD, rows)

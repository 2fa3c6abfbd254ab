"""Executes a documentation page as written: creates its files, runs its commands, compares their output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PART = re.compile(r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)
OF_MEMBER = re.compile(r"[\w-]+:\d+\b")


def run_page(name: str, workspace: Path) -> int:
    """Execute a page in an empty folder and return how many commands it has.

    A block after a line with a file name is that file. A ``console`` block contains commands, and each line shown below
    a command must appear in its output, in this order. An ``sh`` block is for other machines and is not run.
    """
    commands = 0
    for part in PART.finditer((DOCS / name).read_text()):
        if part["file"]:
            (workspace / part["file"]).write_text(part["text"])
        elif part["language"] == "console":
            commands += sum(1 for _ in executed(part["text"], workspace))
        else:
            assert part["language"] == "sh", f"neither a file nor commands: {part['text'][:60]}"
    return commands


def executed(text: str, workspace: Path) -> Iterator[str]:
    """Run the commands of a block one by one, check their output and yield each command.

    Lines of group members (``slaves:2 | …``) may come in any order: nodes that work at the same time print as they go.
    """
    for line in COMMAND.finditer(text):
        output = execute(line["command"], workspace)
        position = 0
        for shown in filter(None, map(str.strip, line["shown"].splitlines())):
            is_member = OF_MEMBER.match(shown)
            found = output.find(shown, 0 if is_member else position)
            assert found >= 0, f"{line['command']}: no line '{shown}' in\n{output}"
            position = position if is_member else found + len(shown)
        yield line["command"]


def execute(command: str, workspace: Path) -> str:
    """Run a line of a page in a shell, with this environment's dtk, and return its output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=workspace,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout

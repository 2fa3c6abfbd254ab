"""docs/first-module.md, executed as it stands there: its files are written, its commands run, what it shows appears."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Dtk

PAGE = Path(__file__).resolve().parents[2] / "docs" / "first-module.md"
PART = re.compile(r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<command>.+)\n(?P<shown>(?:(?!\$ ).*\n)*)", re.MULTILINE)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Dtk]:
    made = Dtk(tmp_path)
    yield made
    made.run("delete-and-destroy", "visits1", "--yes", "--force", code=None)


def execute(workspace: Dtk, command: str) -> str:
    """Run a line of the page in a shell, with the dtk of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=workspace.root,
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


def test_every_step_of_the_page_does_what_it_says(workspace: Dtk) -> None:
    commands = 0
    for part in PART.finditer(PAGE.read_text()):
        if part["file"]:
            (workspace.root / part["file"]).write_text(part["text"])
            continue
        assert part["language"] == "console", f"neither a file nor commands: {part['text'][:60]}"
        for line in COMMAND.finditer(part["text"]):
            output = execute(workspace, line["command"])
            missing = [shown for shown in line["shown"].splitlines() if shown.strip() not in output]
            assert missing == [], f"{line['command']}\n{output}"
            commands += 1
    assert commands == 19

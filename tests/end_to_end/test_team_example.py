"""examples/team: one clone deploys while another watches; the first is killed with -9, and the second finishes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dtk.nodes.local.processes import running_servers
from tests.support.shared_clones import command_with_short_lease

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/team/run"


def test_the_example_of_a_team_runs_as_it_stands(tmp_path: Path) -> None:
    command_with_short_lease(tmp_path / "dtk")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run([EXAMPLE], env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    # The parts of the story, in order.
    story = ["alice's machine dies", "Status: OK", "what bob watched ended with exit code 1", "Nothing to do"]
    places = [done.stdout.find(words) for words in story]
    assert places == sorted(places), f"{places}\n{done.stdout}\n{done.stderr}"
    assert places[0] >= 0, f"{places}\n{done.stdout}\n{done.stderr}"
    assert not [server for server in running_servers().values() if server.settings.is_relative_to(tmp_path)]


@pytest.mark.parametrize("file", ["run", "README.md"])
def test_its_files_are_named_in_the_documentation(file: str) -> None:
    assert (EXAMPLE.parent / file).is_file()
    assert "examples/team" in (EXAMPLE.parents[2] / "docs/teams.md").read_text()

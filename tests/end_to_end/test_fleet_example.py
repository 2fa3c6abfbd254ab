"""examples/fleet: dtk deploys a Dask cluster, applies with it, and loses nothing when one of its workers is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.nodes.local.processes import running_servers

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/fleet"
NODES = 4


def test_the_example_of_a_fleet_runs_as_it_stands(outside: Path) -> None:
    # As examples/fleet/run does, without its check that the environment is up to date.
    assert 'exec "$environment/bin/python" -m examples.fleet.fleet' in (EXAMPLE / "run").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "examples.fleet.fleet", str(NODES)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(outside)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Warning" not in done.stdout + done.stderr
    # The parts of the story, in order.
    story = [
        "computed by 2 of 2 workers",
        "kill -9",
        "2 nodes succeeded, 2 steps are in doubt",
        "apply fleet1 --resume",
        "Each command ran on each of the 4 nodes: once, or again on the 2 in doubt.",
        "Nothing is lost.",
        "delete-and-destroy compute1",
    ]
    places = [done.stdout.find(words) for words in story]
    assert places == sorted(places), f"{places}\n{done.stdout}\n{done.stderr}"
    assert places[0] >= 0, f"{places}\n{done.stdout}\n{done.stderr}"
    assert not [server for server in running_servers().values() if server.settings.is_relative_to(outside)]


@pytest.mark.parametrize("file", ["run", "README.md"])
def test_its_files_are_named_in_the_documentation(file: str) -> None:
    assert (EXAMPLE / file).is_file()
    assert "examples/fleet" in (ROOT / "docs/scale.md").read_text()

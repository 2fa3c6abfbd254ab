"""How the tests are spread over processes: those of a file stay together, since some take on what the last one left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SETTINGS = Path(__file__).resolve().parents[1] / "pyproject.toml"
FILE = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with pathlib.Path(__file__).with_suffix(".ran").open("a") as file:
        file.write(f"{os.getpid()} {number}\\n")
"""


def test_the_tests_of_a_file_run_in_one_process_in_their_order(tmp_path: Path) -> None:
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(FILE)
    command = [sys.executable, "-m", "pytest", "-c", str(SETTINGS), "-p", "no:cacheprovider", "-n", "2", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    for ran in (tmp_path / "test_one.ran", tmp_path / "test_two.ran"):
        processes, numbers = zip(*map(str.split, ran.read_text().splitlines()), strict=True)
        assert len(set(processes)) == 1
        assert list(numbers) == list("012345")

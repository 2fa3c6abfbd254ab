"""Tests of how tests run: each file in one process, in a repeatable order, with no silent skips."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NUMBERED = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    with pathlib.Path(__file__).with_suffix(".ran").open("a") as file:
        file.write(f"{os.getpid()} {number}\\n")
"""
SKIPPED = """
import pytest

@pytest.mark.skipif(True, reason="there is no jq here: install the package jq")
def test_marked(): pass

def test_inside(): pytest.skip("there is no tmux here")

def test_elsewhere(): pytest.skip("Linux only")
"""


def run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with this project's settings and hooks."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "DTK_TESTBED")}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        check=False,
        capture_output=True,
        text=True,
    )


def ran(file: Path) -> list[tuple[str, ...]]:
    """Return the process and number of each test of a file that ran, in order."""
    return [tuple(line.split()) for line in file.with_suffix(".ran").read_text().splitlines()]


def test_the_tests_of_a_file_run_in_one_process_so_that_what_they_share_is_made_once(tmp_path: Path) -> None:
    files = [tmp_path / "test_one.py", tmp_path / "test_two.py"]
    for file in files:
        file.write_text(NUMBERED)
    done = run(tmp_path, "-n", "2")
    assert done.returncode == 0, done.stdout
    for file in files:
        processes, numbers = zip(*ran(file), strict=True)
        assert len(set(processes)) == 1
        assert sorted(numbers) == list("012345")


def test_the_order_is_random_and_the_seed_that_is_shown_repeats_it(tmp_path: Path) -> None:
    file = tmp_path / "test_one.py"
    file.write_text(NUMBERED)

    def order(*options: str) -> tuple[str, list[str]]:
        file.with_suffix(".ran").unlink(missing_ok=True)
        shown = run(tmp_path, "-q", *options).stdout
        seed = re.search(r"repeated with (--randomly-seed=\d+)", shown)
        assert seed, shown
        return seed[1], [number for _, number in ran(file)]

    seed, first = order()
    assert order(seed) == (seed, first)
    assert order("--randomly-seed=1")[1] != order("--randomly-seed=2")[1]


@pytest.mark.parametrize(
    ("environment", "options"), [({"CI": "true"}, ()), ({"DTK_TESTBED": "required"}, ("-n", "1"))], ids=["CI", "bed"]
)
def test_an_unexpected_skip_fails_where_everything_must_be_there(
    tmp_path: Path, environment: dict[str, str], options: tuple[str, ...]
) -> None:
    (tmp_path / "test_one.py").write_text(SKIPPED)
    done = run(tmp_path, *options, **environment)
    assert done.returncode == 1, done.stdout
    assert "unexpected skip: there is no jq here: install the package jq" in done.stdout
    assert "unexpected skip: there is no tmux here" in done.stdout
    assert "unexpected skip: Linux only" not in done.stdout


def test_an_unexpected_skip_of_a_whole_file_fails_as_well(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text('import pytest\n\npytest.importorskip("there_is_no_such_package")\n')
    done = run(tmp_path, CI="true")
    assert done.returncode == 2, done.stdout
    assert "unexpected skip: could not import 'there_is_no_such_package'" in done.stdout


@pytest.mark.parametrize("environment", [{}, {"CI": "true", "DTK_TESTBED": "optional"}], ids=["at home", "optional"])
def test_elsewhere_every_skip_is_listed_with_its_reason(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "test_one.py").write_text(SKIPPED)
    done = run(tmp_path, **environment)
    assert done.returncode == 0
    for reason in ("there is no jq here: install the package jq", "there is no tmux here", "Linux only"):
        assert re.search(rf"^SKIPPED \[1\] .*{reason}$", done.stdout, re.MULTILINE)

"""Tests of what happens while a task waits for its disk, its store or its target: a signal, a failure, another node."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).with_name("interleavings.py")
RUN = """
import sys, tests.apply.patched_task
from tests.apply.interleavings import SCENARIOS
SCENARIOS[sys.argv[1]]()
"""
NAMES = [
    one.name
    for one in ast.parse(SCENARIOS.read_text()).body
    if isinstance(one, ast.FunctionDef) and [ast.unparse(decorator) for decorator in one.decorator_list] == ["scenario"]
]
"""Read, not imported: the file patches the process that imports it."""


@pytest.mark.parametrize("name", NAMES)
def test_in_the_middle(name: str) -> None:
    words = [sys.executable, "-c", RUN, name]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""The processes that hold connections patch the standard library, and load nothing that dtk does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASKED = """
import importlib.metadata, sys
from importlib import import_module

read, groups = importlib.metadata.entry_points, []
importlib.metadata.entry_points = lambda **words: groups.append(words.get("group", "")) or read(**words)
import_module(sys.argv[1])
from gevent import monkey

print(monkey.is_module_patched("socket"), [group for group in groups if group.startswith("gevent.")])
print("invoke" in sys.modules)
"""


@pytest.mark.parametrize(
    "process",
    ["dtk.apply.worker", "dtk.ssh.shards.process", "dtk.refresh.ask_worker", "dtk.refresh.dry_run_worker"],
)
def test_a_process_that_holds_connections_is_patched_and_loads_nothing_in_vain(process: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED, process], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\nFalse\n"

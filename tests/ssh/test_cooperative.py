"""The processes that hold connections patch the standard library, and look for no plugins of gevent."""

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
"""


@pytest.mark.parametrize(
    "process",
    ["dtk.apply.worker", "dtk.ssh.shards.process", "dtk.refresh.ask_worker", "dtk.refresh.dry_run_worker"],
)
def test_a_process_that_holds_connections_is_patched_without_reading_the_metadata_of_packages(process: str) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED, process], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\n"

"""Tests that the recipes of docs/events.md work on the log that the page describes and print what it shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.events.event import HEADER, TYPES
from tests.support.recorded_tasks import failed

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "events.md").read_text()
RECIPES = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(not shutil.which("jq"), reason="there is no jq here: install the package jq")
@pytest.mark.parametrize(("command", "printed"), RECIPES, ids=range(len(RECIPES)))
def test_a_recipe_prints_what_the_page_says(command: str, printed: str, tmp_path: Path) -> None:
    failed(tmp_path / "events.jsonl")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_the_page_names_every_type_and_every_field_of_the_schema() -> None:
    schema = json.loads((ROOT / "schemas" / "event.schema.json").read_text())
    fields = {field for name in TYPES for field in schema["$defs"][name]["properties"]}
    described = set(re.findall(r"`([a-z_.]+)`", PAGE))
    assert TYPES | set(HEADER) <= described
    # The fields that dtk adds when it closes a dead worker's log are only for dtk itself.
    assert fields - described <= {"client_token", "dtk_version", "pid", "ended_at", "in_doubt", "next_command"}

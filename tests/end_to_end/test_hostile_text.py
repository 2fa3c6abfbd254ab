"""No view writes text from modules or foreign logs to the terminal unescaped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import Dtk

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\x08"
MODULE = """
dsl_version: 1.0.0
module: acme/evil
version: 1.0.0
description: "EVIL"
components:
  thing:
    description: "EVIL"
    actions: {create: {commands: ["RUN printf 'EVIL'"]}}
assemblies:
  one:
    description: "EVIL"
    nodes:
      master: {components: [evil::thing]}
    workflows:
      create:
        subtasks: [{name: "stage EVIL", components: [evil::thing]}]
"""
STEERING = re.compile(r"\x1b(?!\[(?:0|31|32|33|36)m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
WORKSPACE_VIEWS = (
    "plan evil1",
    "plan evil1 --markdown",
    "graph evil1",
    "info acme:evil",
    "validate",
    "apply evil1 --yes",
)
LOG_VIEWS = (
    "task-status",
    "task-status -m stream",
    "task-status -m stream --output",
    "task-status --wait",
    "task-status --summarize",
    "task-action-detail",
)


def shown(dtk: Dtk, *words: str) -> str:
    """Return everything that a command writes, byte for byte."""
    done = subprocess.run(
        [sys.executable, "-m", "dtk", *words], cwd=dtk.root, capture_output=True, check=False, timeout=120
    )
    return (done.stdout + done.stderr).decode()


def test_a_module_steers_no_terminal(dtk: Dtk) -> None:
    folder = dtk.root / "modules/acme/evil"
    folder.mkdir(parents=True)
    escaped = "".join(f"\\x{ord(character):02x}" for character in EVIL)
    (folder / "dtk.module.yaml").write_text(MODULE.replace("EVIL", escaped))
    dtk.run("stage", "acme:evil/one", "evil1")
    for view in WORKSPACE_VIEWS:
        text = shown(dtk, *view.split())
        assert text, view
        assert STEERING.search(text) is None, f"{view}: {text!r}"
    whole = (folder / "dtk.module.yaml").read_text()
    broken = MODULE.replace("EVIL", escaped).replace("actions:", f'"{escaped}key": 1\n    actions:')
    (folder / "dtk.module.yaml").write_text(broken)
    assert STEERING.search(shown(dtk, "validate")) is None
    (folder / "dtk.module.yaml").write_text(whole)


@pytest.mark.parametrize("view", LOG_VIEWS)
def test_a_foreign_log_steers_no_terminal(dtk: Dtk, tmp_path: Path, view: str) -> None:
    step = {"number": f"1{EVIL}", "type": f"configure_node{EVIL}", "node": f"n{EVIL}", "components": [f"c{EVIL}"]}
    stage = {"number": f"1{EVIL}", "name": f"s{EVIL}", "steps": [step]}
    error = {"message": f"m{EVIL}", "component": f"c{EVIL}", "command": f"r{EVIL}", "output": f"o{EVIL}"}
    events: list[dict[str, object]] = [
        {"type": "task.planned", "service": f"x{EVIL}", "task": 1, "task_type": f"t{EVIL}", "stages": [stage]},
        {"type": "task.started"},
        {"type": "stage.started", "stage": stage["number"]},
        {"type": "step.started", "step": step["number"]},
        {"type": "step.output", "step": step["number"], "stream": "stdout", "lines": [f"l{EVIL}"]},
        {"type": "operation.finished", "step": step["number"], "kind": "run", "command": f"r{EVIL}", "stdout": EVIL},
        {"type": "step.finished", "step": step["number"], "status": "failed", "error": error},
        {"type": "stage.finished", "stage": stage["number"], "status": "failed"},
        {"type": "task.finished", "status": "failed", "next_command": f"dtk{EVIL}"},
    ]
    log = tmp_path / "events.jsonl"
    head = {"v": 1, "ts": "2026-01-01T00:00:00.000000Z", "message": EVIL}
    log.write_text("".join(json.dumps({**head, "seq": n, **e}) + "\n" for n, e in enumerate(events, start=1)))
    words = view.split()
    text = shown(dtk, words[0], *words[1:], "--log", str(log))
    assert text
    assert STEERING.search(text) is None, repr(text)

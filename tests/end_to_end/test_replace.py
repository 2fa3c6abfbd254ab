"""Replaced machines, on real local nodes: the old ones are removed, and an interrupted replacement is finished."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.test_crash import KILLER, SERVICE, state, status
from tests.support.command_line import Dtk


def test_a_replacement_that_is_killed_between_two_machines_is_finished_by_the_advised_command(
    dtk: Dtk, module: Path, tmp_path: Path
) -> None:
    dtk.run("stage", "acme:ring/cluster", SERVICE)
    dtk.run("apply", SERVICE, "--yes")
    homes = {node: Path(one["attributes"]["home"]) for node, one in state(dtk)["nodes"].items()}
    for home in homes.values():
        (home / "of-the-first-machine").touch()
    assert "-/+ replace slaves:[1-2]" in dtk.run("plan", SERVICE, "--replace", "slaves").stdout
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    moment = {"KILL_AT": '"message":"slaves:1 terminated', "KILL_WHEN": "after", "PYTHONPATH": str(tmp_path)}
    dtk.run("replace", SERVICE, "slaves", "--yes", code=1, **moment)
    assert [node["node"] for node in dtk.json("list-nodes", SERVICE)] == ["master", "slaves:2"]
    assert dtk.json("task-status", SERVICE)["next_command"] == f"dtk apply {SERVICE} --resume"
    dtk.run("apply", SERVICE, "--resume", "--yes")
    assert status(dtk) == "succeeded"
    assert "unfinished" not in state(dtk)
    assert [(home / "of-the-first-machine").exists() for home in homes.values()] == [True, False, False]
    events = dtk.events(SERVICE, 3)
    changed = [(e["node"], e["change"]) for e in events if e["type"] == "node.changed"]
    assert changed == [("slaves:1", "created"), ("slaves:2", "terminated"), ("slaves:2", "created")]
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout

"""Recovery of a lost or damaged state: restore an earlier version, or rebuild it from logs and machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Dtk

pytestmark = pytest.mark.usefixtures("module")
CLUSTER, SERVICE = "acme:ring/cluster", "app1"


def folder_of(dtk: Dtk) -> Path:
    return dtk.root / ".dtk/services" / SERVICE


def state_of(dtk: Dtk) -> dict[str, Any]:
    """Return the state that the next plan is made from, machines included."""
    dtk.run("list-nodes", SERVICE)
    state: dict[str, Any] = json.loads((folder_of(dtk) / "state.json").read_text())
    for word in ("serial", "origin", "created_at"):
        state.pop(word, None)
    return state


def lose_state(dtk: Dtk) -> None:
    """Delete the state, its journal and its versions, and leave a truncated state.json."""
    for file in folder_of(dtk).glob("state.*"):
        file.unlink()
    (folder_of(dtk) / "state.json").write_text('{"format_version": 1, "ser')


def test_a_lost_state_is_made_anew_from_the_tasks_and_the_machines(dtk: Dtk) -> None:
    dtk.run("deploy", CLUSTER, SERVICE)
    dtk.run("set-attribute", SERVICE, "master/ring::hub/greeting", "hello")
    dtk.run("set-attribute", SERVICE, "slaves/cardinality", "3")
    dtk.run("apply", SERVICE, "--yes")
    dtk.run("exec", SERVICE, "master/ring::roll.call")
    dtk.run("stop", SERVICE, "slaves:3")
    before, plan = state_of(dtk), dtk.run("plan", SERVICE).stdout
    lose_state(dtk)
    refused = dtk.run("plan", SERVICE, code=1).stderr
    assert f"dtk state rebuild {SERVICE}" in refused
    assert "Cannot ask: there is no terminal" in dtk.run("state", "rebuild", SERVICE, code=2).stderr
    said = dtk.run("state", "rebuild", SERVICE, "--yes").stdout
    assert "4 nodes, 5 components applied; 4 tasks read" in said
    assert state_of(dtk) == before
    assert dtk.run("plan", SERVICE).stdout == plan
    dtk.run("start", SERVICE)
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout
    # The serial is high, so that no plan saved before the loss matches by accident.
    assert json.loads((folder_of(dtk) / "state.json").read_text())["serial"] > 1_000_000


def test_what_failed_is_unfinished_again_and_what_ended_since_is_gone(dtk: Dtk) -> None:
    dtk.run("stage", CLUSTER, SERVICE)
    dtk.run("set-attribute", SERVICE, "slaves:2/ring::member/work", "false")
    dtk.run("apply", SERVICE, "--yes", code=1)
    before = state_of(dtk)
    assert before["unfinished"]
    lose_state(dtk)
    dtk.run("state", "rebuild", SERVICE, "--yes")
    assert state_of(dtk) == before
    dtk.run("set-attribute", SERVICE, "slaves:2/ring::member/work", "--unset")
    dtk.run("set-attribute", SERVICE, "slaves/cardinality", "1")
    dtk.run("apply", SERVICE, "--yes")
    lose_state(dtk)
    dtk.run("state", "rebuild", SERVICE, "--yes")
    assert state_of(dtk)["nodes"].keys() == {"master", "slaves:1"}
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout


def test_what_is_not_certain_is_converged_again(dtk: Dtk) -> None:
    dtk.run("deploy", CLUSTER, SERVICE)
    task = folder_of(dtk) / "tasks/1"
    log = (task / "events.jsonl").read_text().splitlines(keepends=True)
    damages = {"events.jsonl": "".join([*log[:5], "broken\n", *log[6:]]), "plan.json": "{"}
    for file, content in damages.items():
        (task / file).write_text(content)
        lose_state(dtk)
        said = dtk.run("state", "rebuild", SERVICE, "--yes").stdout
        assert "3 nodes, 0 components applied" in said
        assert " of task 1 " in said
    dtk.run("apply", SERVICE, "--yes")
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout


def test_an_earlier_version_that_is_kept_here_is_put_back(dtk: Dtk) -> None:
    dtk.run("deploy", CLUSTER, SERVICE, "--set", "slaves/cardinality=1")
    kept = dtk.json("state", "history", SERVICE)
    assert [one["current"] for one in kept] == [True] + [False] * (len(kept) - 1)
    assert len(kept) > 1
    serial = kept[1]["serial"]
    (folder_of(dtk) / "state.json").write_text("{")
    listed = dtk.run("state", "history", SERVICE).stdout
    assert "current, damaged" in listed
    assert "state.json.1" in listed
    assert "no state 99999 of" in dtk.run("state", "restore", SERVICE, "99999", "--yes", code=2).stderr
    assert "restore takes a service and a serial" in dtk.run("state", "restore", SERVICE, code=2).stderr
    said = dtk.run("state", "restore", SERVICE, str(serial), "--yes").stdout
    assert f"State {serial} is current again" in said
    # The damaged file is kept.
    assert (folder_of(dtk) / "state.json.1").read_text() == "{"
    dtk.run("apply", SERVICE, "--yes", "--refresh")
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout

"""Two clones with one store: if one is killed, paused or cut off, the other continues, and nothing is created twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Dtk
from tests.support.processes import NAP, runs
from tests.support.shared_clones import LEASE, Team, found_team, task_processes
from tests.support.waiting import eventually

MODULE = (Path(__file__).parent / "ring.module.yaml").read_text()
CLUSTER = "acme:ring/cluster"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = found_team(tmp_path, MODULE)
    Dtk(team.origin).run("stage", CLUSTER, "app1")
    yield team
    closer = team.clone("closer")
    for process in [one for path in tmp_path.iterdir() for one in task_processes(Dtk(path), "app1").values()]:
        process.kill()
    closer.run("delete-and-destroy", "app1", "--yes", "--force", "--lock-wait", "60s")


def nodes(dtk: Dtk) -> dict[str, str]:
    return {node["node"]: node["id"] for node in dtk.json("list-nodes", "app1")}


@pytest.fixture
def slow(team: Team) -> Iterator[None]:
    """Make the members' first run hang until somebody kills their command."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        # Nodes run as another user.
        Path(folder).chmod(0o777)
        work = f"test -e {folder}/began || {{ touch {folder}/began; exec sleep {NAP}; }}"
        Dtk(team.origin).run("set-attribute", "app1", "slaves/ring::member/work", work)
        yield


def begin(dtk: Dtk) -> dict[str, Any]:
    """Start an apply that hangs in a member's action; return its processes."""
    dtk.run("apply", "app1", "--yes", "--detach")
    eventually(lambda: runs("sleep", NAP), "the member works")
    return task_processes(dtk, "app1")


def last_events(team: Team, task: int) -> list[dict[str, Any]]:
    log = team.store / f"services/app1/tasks/{task}/events.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def assert_healed(team: Team, other: Dtk) -> None:
    """Check that the other clone recovered: task 1 is closed, its processes have ended, and every node exists once."""
    assert last_events(team, 1)[-1]["type"] == "task.finished"
    assert last_events(team, 1)[-1]["status"] == "failed"
    assert last_events(team, 2)[-1]["status"] == "succeeded"
    assert not runs("sleep", NAP)
    assert sorted(nodes(other)) == ["master", "slaves:1", "slaves:2"]
    assert "Nothing to do" in other.run("plan", "app1").stdout
    assert team.head("app1")["lease"] is None


def test_clones_do_a_service_once_and_destroy_it_for_all(team: Team) -> None:
    one, two, three = (team.clone(name) for name in ("one", "two", "three"))
    planned = one.run("plan", "app1", "--out", "../plan.json")
    one.run("apply", "../plan.json")
    made = nodes(one)
    assert "stale" in two.run("apply", "../plan.json", code=5).stderr, planned.stdout
    assert "Nothing to do" in two.run("apply", "app1", "--yes").stdout
    assert nodes(two) == made
    two.run("exec", "app1", "ring::roll.call")
    assert [row["task"] for row in three.json("list-tasks", "app1")] == [2, 1]
    three.run("delete-and-destroy", "app1", "--yes")
    assert nodes(one) == {}
    assert team.head("app1")["destroyed"]


@pytest.mark.usefixtures("slow")
def test_of_two_that_apply_at_once_one_runs_and_the_other_is_told(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    begin(one)
    refused = two.run("apply", "app1", "--yes", code=4).stderr
    assert "service 'app1' is locked by 'dtk apply app1'" in refused
    assert "task 1" in refused
    waiting = two.start("apply", "app1", "--yes", "--lock-wait", "120s")
    for process in runs("sleep", NAP):
        process.kill()
    said, _ = waiting.communicate(timeout=180)
    assert waiting.returncode == 0, said
    assert_healed(team, two)
    assert team.head("app1")["epoch"] == 2


@pytest.mark.parametrize("who", ["worker", "shipper"])
@pytest.mark.usefixtures("slow")
def test_killed_the_other_clone_goes_on_by_itself(team: Team, who: str) -> None:
    one, two = team.clone("one"), team.clone("two")
    processes = begin(one)
    follower = two.start("task-status", "app1", "-m", "stream")
    processes[who].kill()
    assert_other_goes_on(team, one, two, follower)


@pytest.mark.usefixtures("slow")
def test_killed_with_all_its_process_groups_the_other_clone_goes_on_by_itself(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    words = [sys.executable, *one.program, "apply", "app1", "--yes"]
    with subprocess.Popen(words, cwd=one.root, stdout=subprocess.DEVNULL, start_new_session=True) as apply:
        eventually(lambda: runs("sleep", NAP), "the member works")
        follower = two.start("task-status", "app1", "-m", "stream")
        groups = {apply.pid, *(os.getpgid(process.pid) for process in task_processes(one, "app1").values())}
        assert len(groups) == 3
        assert os.getpgrp() not in groups
        for group in groups:
            os.killpg(group, signal.SIGKILL)
    assert_other_goes_on(team, one, two, follower)


def assert_other_goes_on(team: Team, one: Dtk, two: Dtk, follower: subprocess.Popen[str]) -> None:
    """Finish from the second clone what was killed in the first, and check that the follower reports a failure."""
    two.run("apply", "app1", "--yes", "--lock-wait", "120s")
    said, _ = follower.communicate(timeout=180)
    assert follower.returncode == 1, said
    assert_healed(team, two)
    assert "Nothing to do" in one.run("plan", "app1").stdout


@pytest.mark.usefixtures("slow")
def test_paused_while_another_took_over_it_writes_nothing_and_starts_nothing(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    processes = begin(one)
    for process in processes.values():
        process.suspend()
    two.run("apply", "app1", "--yes", "--lock-wait", "120s")
    before = {path: path.stat().st_mtime_ns for path in (team.store / "services").rglob("*") if path.is_file()}
    for process in processes.values():
        process.resume()
    for process in processes.values():
        process.wait(120)
    after = {path: path.stat().st_mtime_ns for path in (team.store / "services").rglob("*") if path.is_file()}
    assert after == before
    own = one.events("app1", 1)
    assert own[-1]["type"] == "task.finished"
    assert "superseded" in own[-1]["message"]
    assert_healed(team, two)
    assert "Nothing to do" in one.run("plan", "app1").stdout


# Every Python process of a command loads this. It kills worker and shipper at the end of the step that removed a node.
_KILLER = """
import os, signal
if "KILL_AT_THE_END_OF_A_NODE" in os.environ:
    import psutil
    from dtk.events.log import EventLog
    append = EventLog.append
    shippers, gone = [], []
    def dying(self, kind, message, /, **fields):
        # Looked for before: while somebody looks, a shipper has the time to ship.
        if kind == "step.started":
            found = (one.info for one in psutil.process_iter(["pid", "cmdline", "cwd"]))
            own = (one for one in found if one["cwd"] == os.getcwd() and "dtk.store.shipper" in (one["cmdline"] or ()))
            shippers.extend(one["pid"] for one in own)
        if kind == "node.changed" and fields["change"] == "terminated":
            gone.append(fields["node"])
        if kind == "step.finished" and gone:
            for process in (*shippers, os.getpid()):
                os.kill(process, signal.SIGKILL)
        return append(self, kind, message, **fields)
    EventLog.append = dying
"""


def test_a_node_that_is_gone_is_gone_for_all_when_its_task_is_killed_right_after(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    one.run("apply", "app1", "--yes")
    for clone in (one, two):
        clone.run("set-attribute", "app1", "slaves/cardinality", "1")
    (team.folder / "killer").mkdir()
    (team.folder / "killer/sitecustomize.py").write_text(_KILLER)
    path = os.pathsep.join([str(team.folder / "killer"), os.environ.get("PYTHONPATH", "")])
    one.run("apply", "app1", "--yes", code=None, PYTHONPATH=path, KILL_AT_THE_END_OF_A_NODE="yes")
    assert sorted(nodes(two)) == ["master", "slaves:1"]
    two.run("apply", "app1", "--yes", "--lock-wait", "120s")
    assert "Nothing to do" in two.run("plan", "app1").stdout


@pytest.mark.usefixtures("slow")
def test_cancelled_from_another_clone(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    begin(one)
    two.run("cancel-task", "app1")
    assert two.run("task-status", "app1", "-m", "stream", code=6).returncode == 6
    assert not runs("sleep", NAP)
    two.run("apply", "app1", "--yes", "--lock-wait", "60s")
    assert sorted(nodes(two)) == ["master", "slaves:1", "slaves:2"]


def cut(team: Team) -> None:
    """Make the store unreachable in one step, by pointing its symlink at something that is not a folder."""
    link(team, team.folder / "nothing")


def link(team: Team, to: Path) -> None:
    new = team.folder / "link"
    new.symlink_to(to)
    new.replace(team.store)


@pytest.fixture
def cuttable(team: Team) -> Team:
    real = team.folder / "real"
    real.mkdir()
    (team.folder / "nothing").write_text("")
    team.store.symlink_to(real)
    return team


@pytest.mark.usefixtures("slow")
def test_a_store_that_is_away_for_a_moment_is_nothing_to_see(cuttable: Team) -> None:
    team = cuttable
    one = team.clone("one")
    begin(one)
    beat = team.head("app1")["lease"]["beat"]
    cut(team)
    time.sleep(LEASE / 4)  # the cut itself: it must last this long
    link(team, team.folder / "real")
    eventually(lambda: team.head("app1")["lease"]["beat"] > beat, "it beats again")
    for process in runs("sleep", NAP):
        process.kill()
    eventually(lambda: team.head("app1")["lease"] is None, "the task has ended")
    assert last_events(team, 1)[-1]["type"] == "task.finished"
    assert "could not be reached" not in json.dumps(last_events(team, 1))


@pytest.mark.usefixtures("slow")
def test_a_store_that_stays_away_ends_the_task_which_goes_on_where_it_was(cuttable: Team) -> None:
    team = cuttable
    one, two = team.clone("one"), team.clone("two")
    processes = begin(one)
    cut(team)
    log = one.root / ".dtk/services/app1/tasks/1/worker.log"
    eventually(lambda: "can't be used" in log.read_text(), "the shipper misses the store")
    time.sleep(LEASE)  # the cut itself: it must last this long
    for process in runs("sleep", NAP):
        process.send_signal(signal.SIGKILL)
    processes["worker"].wait(180)
    finished = one.events("app1", 1)[-1]
    assert finished["type"] == "task.finished"
    assert "the store has been unreachable since" in finished["message"]
    assert "app1: as of" in one.run("task-status", "app1", code=None).stderr
    assert one.run("apply", "app1", "--yes", code=1).returncode == 1
    link(team, team.folder / "real")
    processes["shipper"].wait(180)
    one.run("apply", "app1", "--yes", "--lock-wait", "120s")
    assert_healed(team, two)


def test_a_plan_saved_by_one_clone_is_applied_by_another(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    said = one.run("plan", "app1", "--save").stdout.splitlines()[-1]
    digest = said.rpartition(" ")[2]
    assert said == f"Saved in the store; next: dtk apply --plan {digest}"
    assert "no plan" in two.run("apply", "--plan", f"sha256:{'0' * 64}", code=2).stderr
    assert "is not a plan's digest" in two.run("apply", "--plan", "plan.json", code=2).stderr
    two.run("apply", "--plan", digest)
    assert sorted(nodes(one)) == ["master", "slaves:1", "slaves:2"]
    assert "stale" in one.run("apply", "--plan", digest, code=5).stderr
    saved = team.store / f"plans/{digest.removeprefix('sha256:')}.json"
    saved.write_text(saved.read_text().replace('"app1"', '"app2"'))
    assert "was edited" in one.run("apply", "--plan", digest, code=3).stderr


def test_offline_changes_nothing(team: Team) -> None:
    one = team.clone("one")
    assert "cannot change anything" in one.run("apply", "app1", "--yes", "--offline", code=1).stderr
    assert not (team.store / "services").exists()


def test_another_workspace_does_not_get_into_a_store(team: Team) -> None:
    one, stranger = team.clone("one"), team.clone("stranger")
    one.run("plan", "app1", "--save")
    one.run("apply", "app1", "--yes")
    file = stranger.root / "dtk.yaml"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("workspace:")))
    shutil.rmtree(stranger.root / ".dtk", ignore_errors=True)
    assert "the store belongs to workspace" in stranger.run("apply", "app1", "--yes", code=1).stderr
    moved = team.store.rename(team.folder / "elsewhere")
    assert "the store is empty" in one.run("apply", "app1", "--yes", code=1).stderr
    moved.rename(team.store)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("ahead", [("one",), ("two",)], ids=["the holder", "the other"])
def test_a_clock_that_is_two_hours_ahead_steals_no_service_and_loses_none(team: Team, ahead: tuple[str]) -> None:
    folder = team.folder / "ahead"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import time\nreal = time.time\ntime.time = lambda: real() + 7200\n")
    shifted = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    one, two = team.clone("one"), team.clone("two")
    one.run("apply", "app1", "--yes", "--detach", code=0, **(shifted if "one" in ahead else {}))
    eventually(lambda: runs("sleep", NAP), "the member works")
    begun = team.head("app1")["lease"]["beat"]
    eventually(lambda: team.head("app1")["lease"]["beat"] > begun + 3, "more than a lease has passed")
    two.run("apply", "app1", "--yes", code=4, **(shifted if "two" in ahead else {}))
    assert team.head("app1")["epoch"] == 1
    for process in runs("sleep", NAP):
        process.kill()
    two.run("apply", "app1", "--yes", "--lock-wait", "120s", code=0, **(shifted if "two" in ahead else {}))
    assert_healed(team, two)

"""The main path: a module is planned, applied over SSH, watched, scaled, resumed and destroyed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.command_line import Dtk
from tests.support.processes import NAP, node_processes, runs
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("module")


WAIT = "until test -e $HOME/go; do sleep 0.2; done"


def deployed(dtk: Dtk, *words: str) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", *words)


def home(dtk: Dtk, node: str) -> Path:
    return next(Path(n["attributes"]["home"]) for n in dtk.json("list-nodes", "ring1") if n["node"] == node)


def statuses(dtk: Dtk, *words: str) -> dict[str, str]:
    task = dtk.json("task-status", "ring1", *words)
    return {stage["name"]: stage["status"] for stage in task["stages"]} | {"": task["status"]}


def test_a_deployed_cluster_is_shown_stage_by_stage_and_a_second_plan_has_nothing_to_do(dtk: Dtk) -> None:
    shown = dtk.run("deploy", "acme:ring/cluster", "ring1").stdout
    assert "STAGE 1: create_nodes_stage" in shown
    assert shown.endswith("Status: OK\n")
    assert home(dtk, "slaves:2").joinpath("hub").read_text().startswith(dtk.addresses("ring1")["master"])
    table = dtk.run("task-status", "ring1").stdout
    assert "|     3.1 configure_nodegroup | succeeded | slaves " in table
    assert table.endswith("15 rows in set\n")
    assert "Nothing to do" in dtk.run("plan", "ring1", "--detailed-exitcode").stdout
    assert dtk.run("plan", "ring1", "--json").stdout == dtk.run("plan", "ring1", "--json").stdout


def test_scaling_happens_in_apply_and_takes_the_highest_members(dtk: Dtk) -> None:
    deployed(dtk)
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "4")
    assert len(dtk.addresses("ring1")) == 3
    dtk.run("apply", "ring1", "--yes")
    four = dtk.addresses("ring1")
    assert [*four] == ["master", "slaves:1", "slaves:2", "slaves:3", "slaves:4"]
    assert home(dtk, "master").joinpath("roll").read_text().split() == [*four.values()][1:]
    gone = home(dtk, "slaves:4")
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "2")
    plan = dtk.run("plan", "ring1", "--detailed-exitcode", code=10).stdout
    assert plan.index("- terminate slaves:[3-4]  (slaves/cardinality 4 → 2)") < plan.index("Stages:")
    assert gone.exists()
    dtk.run("apply", "ring1", "--yes")
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1", "slaves:2"]
    assert not gone.exists()
    assert home(dtk, "master").joinpath("roll").read_text().split() == [*dtk.addresses("ring1").values()][1:]


def test_a_failing_step_stops_the_task_after_its_siblings_and_resume_does_the_rest(dtk: Dtk) -> None:
    deploy = ("deploy", "acme:ring/cluster", "ring1", "--set")
    work = "test -e $HOME/flag || [ $(basename $HOME) = slaves.1 ] || { echo no flag; exit 7; }"
    failed = dtk.run(*deploy, f"slaves/ring::member/work={work}", code=1)
    assert "Status: FAILED" in failed.stdout
    assert "no flag" in failed.stdout
    assert "dtk apply ring1 --resume" in failed.stdout + failed.stderr
    steps = {
        step["node"]: step["status"] for step in dtk.json("task-status", "ring1")["stages"][2]["steps"][0]["steps"]
    }
    assert steps == {"slaves:1": "succeeded", "slaves:2": "failed"}
    assert statuses(dtk)["roll"] == "created"
    table = dtk.run("task-status", "ring1").stdout
    assert "[ 3.1.2 ]" in table
    assert "RETURN CODE: 7" in table
    # A task run in between does not make the failed one unresumable, even if it fails as well.
    between = dtk.run("exec", "ring1", "slaves:2/ring::member", code=1)
    assert "dtk exec ring1 slaves:2/ring::member" in between.stdout + between.stderr
    assert "--resume" not in between.stdout + between.stderr
    (home(dtk, "slaves:2") / "flag").touch()
    dtk.run("exec", "ring1", "slaves:1/ring::member")
    dtk.run("apply", "ring1", "--resume", "--yes")
    resumed = dtk.json("task-status", "ring1")
    assert resumed["status"] == "succeeded"
    assert [leaf["node"] for leaf in resumed["stages"][0]["steps"][0]["steps"]] == ["slaves:2"]
    assert [stage["name"] for stage in resumed["stages"]] == ["members", "roll", "roll call"]
    dtk.run("apply", "ring1", "--resume", code=2)


def test_a_detached_task_is_watched_from_elsewhere_and_the_stream_may_join_late(dtk: Dtk) -> None:
    answer = dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", f"slaves/ring::member/work={WAIT}")
    assert "task_id: 1" in answer.stdout
    eventually(lambda: statuses(dtk).get("hub") == "succeeded", "the hub's stage succeeds")
    assert "| executing |" in dtk.run("task-status", "ring1").stdout
    assert dtk.run("ls").stdout.count("executing") == 1
    for member in ("slaves:1", "slaves:2"):
        (home(dtk, member) / "go").touch()
    streamed = dtk.run("task-status", "ring1", "-m", "stream").stdout
    assert [line for line in streamed.splitlines() if line.startswith("STAGE")] == [
        "STAGE 1: create_nodes_stage",
        "STAGE 2: hub",
        "STAGE 3: members",
        "STAGE 4: roll",
        "STAGE 5: roll call",
    ]
    assert dtk.run("task-status", "ring1", "--wait").stdout.endswith("15 rows in set\n")
    log = dtk.root / ".dtk/services/ring1/tasks/1/events.jsonl"
    assert dtk.run("task-status", "--log", str(log)).stdout == dtk.run("task-status", "ring1").stdout


def test_cancel_ends_the_remote_processes_and_says_so(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", f"slaves/ring::member/work=sleep {NAP}")
    mark = eventually(lambda: runs("sleep", NAP), "the members sleep")
    dtk.run("cancel-task", "ring1")
    assert dtk.run("task-status", "ring1", "--wait", code=6).stdout.count("cancelled") >= 3
    eventually(lambda: not [p for p in mark if p.is_running()], "the members' sleep is ended")
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "true")
    dtk.run("apply", "ring1", "--resume", "--yes")
    assert statuses(dtk)[""] == "succeeded"


def pids(dtk: Dtk) -> list[int]:
    """Return the worker's process id of the first task, once its start is recorded."""
    return [event["pid"] for event in dtk.events("ring1", 1) if event["type"] == "task.started"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_a_followed_task_cancels_it_and_waits_for_its_worker(dtk: Dtk, how: signal.Signals) -> None:
    following = dtk.start("deploy", "acme:ring/cluster", "ring1", "--set", f"slaves/ring::member/work=sleep {NAP}")
    eventually(lambda: runs("sleep", NAP), "the members sleep")
    worker = eventually(lambda: pids(dtk), "the task is on record as started")[0]
    following.send_signal(how)
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 6, output
    assert not psutil.pid_exists(worker)
    assert "Status: CANCELLED" in output


def test_an_apply_that_waits_for_the_lock_plans_with_what_the_task_before_has_left(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", "slaves/ring::member/work=sleep 5")
    waited = dtk.run("apply", "ring1", "--yes", "--lock-wait", "2m")
    assert "Nothing to do" in waited.stdout
    assert statuses(dtk)[""] == "succeeded"


def test_a_killed_worker_frees_the_lock_and_the_next_apply_goes_on(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", f"slaves/ring::member/work=sleep {NAP}")
    eventually(lambda: runs("sleep", NAP), "the members sleep")
    locked = dtk.run("apply", "ring1", "--yes", code=4)
    assert "is locked by 'dtk deploy" in locked.stderr
    os.kill(next(e["pid"] for e in dtk.events("ring1", 1) if e["type"] == "task.started"), signal.SIGKILL)
    eventually(lambda: statuses(dtk)[""] == "failed", "the task counts as failed")
    assert "worker" in dtk.run("task-status", "ring1").stdout
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "true")
    dtk.run("apply", "ring1", "--yes")
    assert statuses(dtk)[""] == "succeeded"
    assert dtk.events("ring1", 1)[-1]["type"] == "task.finished"


def test_what_a_killed_worker_left_running_is_ended_before_anything_else_is_done_there(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", f"slaves/ring::member/work=sleep {NAP}")
    left = eventually(lambda: found if len(found := runs("sleep", NAP)) >= 2 else None, "the members sleep")
    os.kill(next(e["pid"] for e in dtk.events("ring1", 1) if e["type"] == "task.started"), signal.SIGKILL)
    eventually(lambda: statuses(dtk)[""] == "failed", "the task counts as failed")
    assert all(process.is_running() for process in left)
    dtk.run(
        "set-attribute", "ring1", "slaves/ring::member/work", f"ps -A -o args= | grep -c '^[s]leep {NAP}' >seen || true"
    )
    dtk.run("apply", "ring1", "--resume", "--yes")
    assert [home(dtk, member).joinpath("seen").read_text() for member in ("slaves:1", "slaves:2")] == ["0\n", "0\n"]
    assert not any(process.is_running() for process in left)
    assert "in_doubt" not in json.loads((dtk.root / ".dtk/services/ring1/state.json").read_text())


def test_a_stale_plan_is_refused_and_says_why(dtk: Dtk, module: Path) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    dtk.run("plan", "ring1", "--out", "first.json")
    dtk.run("apply", "first.json")
    again = dtk.run("apply", "first.json", code=5)
    assert "stale" in again.stderr
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    dtk.run("plan", "ring1", "--out", "second.json")
    file = module / "dtk.module.yaml"
    file.write_text(file.read_text().replace("welcome", "hello"))
    assert "acme/ring" in dtk.run("apply", "second.json", code=5).stderr


def test_destroying_leaves_no_process_and_no_file(dtk: Dtk) -> None:
    deployed(dtk)
    homes = [home(dtk, node) for node in dtk.addresses("ring1")]
    lineage = json.loads((dtk.root / ".dtk/services/ring1/state.json").read_text())["lineage"]
    refused = dtk.run("delete-and-destroy", "ring1", code=2)
    assert "use --yes" in refused.stderr
    dtk.run("delete-and-destroy", "ring1", "--yes")
    assert dtk.run("ls").stdout == "Message: List is empty.\n"
    assert not node_processes(lineage)
    assert not [path for path in homes if path.exists()]
    assert not [*dtk.root.glob("services/*")]
    assert dtk.files_left("ring1") == ["lock", "tasks/1/events.jsonl", "tasks/2/events.jsonl"]
    assert [row["task"] for row in dtk.json("list-tasks", "ring1")] == [2, 1]
    assert "Status: OK" in dtk.run("task-status", "ring1", "-m", "stream").stdout


def test_ten_mistakes_are_told_at_once_and_nothing_is_written(dtk: Dtk, module: Path) -> None:
    file = module / "dtk.module.yaml"
    for right, wrong in (
        ("{type: port, default: 7400}", "{type: port, default: 740000}"),
        ("greeting: {type: string", "greeting: {typ: string"),
        ("files.directory:", "files.directori:"),
        ("started: {command", "start: {command"),
        ("dependencies: [ring::hub]", "dependencies: [ring::hubb]"),
        ("- $address -> hub", "- $adress -> hub"),
        ("members: {type: array(string)", "members: {type: arrray(string)"),
        ("cardinality: 2", "cardinality: two"),
        ("components: [ring::roll]\n", "components: [ring::rolll]\n"),
        ("actions: [ring::roll.call]", "actions: [ring::roll.cal]"),
    ):
        file.write_text(file.read_text().replace(right, wrong))
    before = sorted(path for path in dtk.root.rglob("*"))
    printed = dtk.run("validate", code=3).stderr
    located = [line for line in printed.splitlines() if line.startswith("  modules/acme/ring/dtk.module.yaml:")]
    assert len(located) == 10, printed
    assert dtk.run("deploy", "acme:ring/cluster", "ring1", code=3).stderr.count("dtk.module.yaml:") == 10
    assert sorted(path for path in dtk.root.rglob("*")) == before


def test_output_can_be_piped_into_a_program_that_stops_reading(dtk: Dtk) -> None:
    deployed(dtk)
    command = f"{os.sys.executable} -m dtk task-status ring1 | head -1"  # type: ignore[attr-defined]
    done = subprocess.run(command, shell=True, cwd=dtk.root, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_worker_killed_while_it_makes_nodes_leaves_none_that_destroy_does_not_end(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", "slaves/cardinality=9")
    registry = dtk.root / ".dtk/nodes.json"
    eventually(lambda: registry.exists() and json.loads(registry.read_text())["local"], "a node is begun")
    os.kill(next(e["pid"] for e in dtk.events("ring1", 1) if e["type"] == "task.started"), signal.SIGKILL)
    state = json.loads((dtk.root / ".dtk/services/ring1/state.json").read_text())
    dtk.run("delete-and-destroy", "ring1", "--yes")
    assert not node_processes(state["lineage"])
    assert json.loads(registry.read_text())["local"] == {}


def test_where_nodes_share_one_address_they_differ_by_port_and_modules_can_tell(dtk: Dtk) -> None:
    (dtk.root / "dtk.yaml").write_text("format_version: 1\ntargets:\n  local: {type: local, shared_address: true}\n")
    deployed(dtk)
    nodes = dtk.json("list-nodes", "ring1")
    assert {node["attributes"]["host_address"] for node in nodes} == {"127.0.0.1"}
    assert len({node["connection"]["port"] for node in nodes}) == 3
    offset = nodes[0]["attributes"]["port_offset"]
    assert home(dtk, "slaves:2").joinpath("hub").read_text() == f"127.0.0.1:{7400 + offset}\n"

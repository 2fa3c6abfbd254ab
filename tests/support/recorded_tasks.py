"""Complete task logs, one for each state that views must show: running, failed, cancelled, resumed, scaled, large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.support.recorder import Plan, Recorder, group, stage, step

NOW = datetime(2015, 11, 26, 10, 1, 0, tzinfo=UTC)
"""The time at which views of running tasks are rendered, one minute after the tasks started."""


def ring_plan(members: int = 3) -> Plan:
    return [
        stage("1", "create_nodes_stage", step("1.1", "create_node", "master"),
              *(step(f"1.{i + 1}", "create_node", f"slaves:{i}") for i in range(1, members + 1))),
        stage("2", "hub", step("2.1", "configure_node", "master", "ring::hub")),
        stage("3", "members", group("3.1", "slaves", "ring::member", size=members)),
        stage("4", "smoke test", step("4.1", "action", "master", actions=["ring::hub.smoke_test"])),
    ]  # fmt: skip


def begin(path: Path, plan: Plan, members: int = 3) -> Recorder:
    """Record a running task: the nodes are created, the hub is configured, the members have started."""
    recorder = Recorder(path).at("10:00:00.0").plan(plan, service="ring1").start()
    nodes = [("1.1", "10:00:00.0", "10:00:12.0")]
    nodes += [(f"1.{i + 1}", "10:00:00.0", f"10:00:{15 + i % 7}.5") for i in range(1, members + 1)]
    recorder.stage("1", "10:00:00.0", "10:00:22.0", steps=nodes)
    recorder.stage("2", "10:00:22.0", "10:00:30.0", steps=[("2.1", "10:00:22.1", "10:00:29.9")])
    recorder.at("10:00:30.0").event("stage.started", stage="3")
    return recorder.started(*(f"3.1.{i}" for i in range(1, members + 1)))


def running(path: Path) -> Recorder:
    recorder = begin(path, ring_plan())
    recorder.at("10:00:41.0").ran("3.1.2", "join hub", "joined\n").finished("3.1.2")
    return recorder.at("10:00:58.0").event("step.output", step="3.1.1", node="slaves:1", stream="stdout",
                                           lines=["fetching 34 of 80"])  # fmt: skip


def failed(path: Path) -> Recorder:
    recorder = begin(path, ring_plan())
    recorder.at("10:00:41.0").ran("3.1.2", "join hub", "joined\n", node="slaves:2").finished("3.1.2").finished("3.1.3")
    recorder.event("step.output", step="3.1.1", node="slaves:1", stream="stdout", lines=["looking for the hub"])
    recorder.ran(
        "3.1.1", "join hub --port 7400", "looking for the hub\n", 7, stderr="bind: address in use\n", node="slaves:1"
    )
    error = {"message": "the command failed with exit code 7", "type": "USER", "component": "ring::member",
             "command": "join hub --port 7400", "exit_code": 7,
             "output": "looking for the hub\nbind: address in use"}  # fmt: skip
    recorder.at("10:00:45.0").finished("3.1.1", "failed", error=error, node="slaves:1")
    recorder.event("stage.finished", stage="3", status="failed", seconds=15.0)
    return recorder.at("10:00:45.1").end("failed", next_command="dtk apply ring1 --resume")


def cancelled(path: Path) -> Recorder:
    recorder = begin(path, ring_plan())
    recorder.at("10:00:40.0").finished("3.1.2").event("task.cancelling", by="cancel-task")
    recorder.at("10:00:40.5").finished("3.1.1", "cancelled")
    return recorder.at("10:00:41.0").end("cancelled", next_command="dtk apply ring1 --resume")


def resumed(path: Path) -> Recorder:
    """Record the resumption of the failed task: the failed member and the stages after it."""
    plan = [
        stage("1", "members", group("1.1", "slaves", "ring::member", size=1)),
        stage("2", "smoke test", step("2.1", "action", "master", actions=["ring::hub.smoke_test"])),
    ]
    recorder = Recorder(path).at("10:10:00.0").plan(plan, service="ring1").start()
    recorder.stage("1", "10:10:00.0", "10:10:09.0", steps=[("1.1.1", "10:10:00.1", "10:10:09.0")])
    recorder.at("10:10:09.1").event("stage.started", stage="2").started("2.1").ran("2.1", "ask all", "3 members\n")
    recorder.at("10:10:10.0").finished("2.1").event("stage.finished", stage="2", status="succeeded", seconds=0.9)
    return recorder.end()


def scaled(path: Path) -> Recorder:
    """Record scaling from three members to four. One node is created, so its stage has a single row."""
    plan = [
        stage("1", "create_node", step("1", "create_node", "slaves:4")),
        stage("2", "members", {**group("2.1", "slaves", "ring::member", size=0),
                               "steps": [step("2.1.1", "configure_node", "slaves:4", "ring::member")]}),
        stage("3", "smoke test", step("3.1", "action", "master", actions=["ring::hub.smoke_test"])),
    ]  # fmt: skip
    recorder = Recorder(path).at("11:00:00.0").plan(plan, service="ring1").start()
    recorder.stage("1", "11:00:00.0", "11:00:16.0", steps=[("1", "11:00:00.0", "11:00:15.9")])
    recorder.stage("2", "11:00:16.0", "11:00:25.0", steps=[("2.1.1", "11:00:16.0", "11:00:24.9")])
    recorder.stage("3", "11:00:25.0", "11:00:26.0", steps=[("3.1", "11:00:25.0", "11:00:26.0")])
    return recorder.at("11:00:26.0").end()


def large(path: Path) -> Recorder:
    """Record a task of 300 nodes: most members are done, some are running, some failed."""
    return many(path, 299, 280)


def many(path: Path, members: int, running: int) -> Recorder:
    """Record this many members. Those from ``running`` on are not done yet, and every 97th failed."""
    recorder = begin(path, ring_plan(members), members)
    for member in range(1, running):
        recorder.at(f"10:00:{31 + member % 28}.{member % 10}")
        if member % 97 == 0:
            recorder.finished(f"3.1.{member}", "failed", error={"message": "no route to the hub", "type": "USER"})
        else:
            recorder.ran(f"3.1.{member}", "join hub", f"member {member} joined\n").finished(f"3.1.{member}")
    recorder.at("10:00:59.0")
    step, node = f"3.1.{running}", f"slaves:{running}"
    return recorder.event("step.output", step=step, node=node, stream="stdout", lines=["waiting"])


RECORDINGS: Mapping[str, Callable[[Path], Recorder]] = {
    recording.__name__: recording for recording in (running, failed, cancelled, resumed, scaled, large)
}

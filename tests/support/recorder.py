"""Records event logs for tests with the real writer and with timestamps chosen by the test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dtk.events.event import Event
from dtk.events.log import EventLog
from dtk.events.log_reader import read_log

DAY = "2015-11-26"
Plan = list[dict[str, Any]]


class Recorder:
    """Writes a log. ``at("17:16:55.1")`` sets the time of the following events."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._now = datetime(2015, 11, 26, tzinfo=UTC)
        self.log = EventLog(path, clock=lambda: self._now)
        self._begun: dict[tuple[str, str], datetime] = {}

    def at(self, time: str) -> Recorder:
        self._now = datetime.fromisoformat(f"{DAY}T{time}+00:00")
        return self

    def plan(self, stages: Plan, task_type: str = "assembly_converge", service: str = "spark-cluster1") -> Recorder:
        self.log.append(
            "task.planned", "planned", service=service, task=1, assembly="bigtop:spark/cluster", task_type=task_type,
            workflow="create", target="local", plan_digest="sha256:0", dtk_version="0.1.0", pid=1, stages=stages,
        )  # fmt: skip
        return self

    def start(self) -> Recorder:
        return self.event("task.started", pid=1)

    def stage(
        self, number: str, start: str, end: str = "", status: str = "succeeded", steps: Sequence[Any] = ()
    ) -> None:
        """Record a stage with its steps: (number, start, end), or (number, start) for a running step."""
        moments: list[tuple[str, str, str, str]] = [(start, "stage.started", number, "")]
        moments += [(step[1], "step.started", step[0], "") for step in steps]
        moments += [(step[2], "step.finished", step[0], status) for step in steps if len(step) > 2]
        moments += [(end, "stage.finished", number, status)] if end else []
        for time, kind, name, ending in sorted(moments, key=lambda moment: moment[0]):
            fields: dict[str, Any] = {"status": ending, "seconds": 0.0, "changed": True} if ending else {}
            fields |= {"stage": name} if kind.startswith("stage") else {"step": name, "node": "n"}
            self.at(time).event(kind, **fields)

    def event(self, event_type: str, /, *, measured: float | None = None, **fields: Any) -> Recorder:
        """Record an event. The end of a part gets the seconds since its start, or ``measured`` if given."""
        kind, _, what = event_type.partition(".")
        part = (kind, str(fields.get(kind, "")))
        if what == "started":
            self._begun[part] = self._now
        elif what == "finished" and part in self._begun:
            since = (self._now - self._begun[part]).total_seconds()
            fields["seconds"] = since if measured is None else measured
        self.log.append(event_type, event_type, **fields)
        return self

    def started(self, *steps: str) -> Recorder:
        for step in steps:
            self.event("step.started", step=step, node="n")
        return self

    def finished(self, step: str, status: str = "succeeded", **fields: Any) -> Recorder:
        names = {"node": "n", **fields}
        return self.event("step.finished", step=step, status=status, changed=True, seconds=1.0, **names)

    def ran(self, step: str, command: str, stdout: str = "", exit_code: int = 0, **fields: Any) -> Recorder:
        result = {"command": command, "stdout": stdout, "stderr": "", "exit_code": exit_code, "seconds": 0.1}
        names = {"node": "n", "component": "c", "action": "a", "kind": "run", "name": "", "changed": True}
        return self.event("operation.finished", step=step, **{**names, **result, **fields})

    def end(self, status: str = "succeeded", **fields: Any) -> Recorder:
        return self.event("task.finished", status=status, seconds=1.0, **fields)

    @property
    def events(self) -> tuple[Event, ...]:
        return read_log(self.path).events


def stage(number: str, name: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"number": number, "name": name, "steps": list(steps)}


def step(number: str, kind: str, node: str, *components: str, actions: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "number": number, "type": kind, "node": node, "components": list(components), "actions": list(actions),
        "reason": "", "steps": [],
    }  # fmt: skip


def group(number: str, node: str, *components: str, size: int = 2, actions: Sequence[str] = ()) -> dict[str, Any]:
    kinds = ("nodegroup actions", "action") if actions else ("configure_nodegroup", "configure_node")
    members = [
        step(f"{number}.{index}", kinds[1], f"{node}:{index}", *components, actions=actions)
        for index in range(1, size + 1)
    ]
    return {**step(number, kinds[0], node, *components, actions=actions), "steps": members}


def spark_plan() -> Plan:
    """Return the plan of the original's example: twelve stages on a master and a group of two."""
    nodes, namenode = ("master", "slaves:1", "slaves:2"), "hadoop::namenode"
    return [
        stage("1", "create_nodes_stage", *(step(f"1.{i}", "create_node", node) for i, node in enumerate(nodes, 1))),
        stage("2", "bigtop_multiservice", step("2.1", "configure_node", "assembly_wide", "bigtop_multiservice")),
        stage(
            "3",
            "bigtop hiera",
            group("3.1", "slaves", "bigtop_multiservice::hiera"),
            step("3.2", "configure_node", "master", "bigtop_multiservice::hiera"),
        ),
        stage(
            "4",
            "bigtop_base",
            group("4.1", "slaves", "bigtop_base"),
            step("4.2", "configure_node", "master", "bigtop_base"),
        ),
        stage("5", "namenode", step("5.1", "configure_node", "master", namenode)),
        stage("6", "if needed leave safemode", step("6.1", "action", "master", actions=[f"{namenode}.leave_safemode"])),
        stage("7", "namenode smoke test", step("7.1", "action", "master", actions=[f"{namenode}.smoke_test"])),
        stage("8", "datanodes", group("8.1", "slaves", "hadoop::common_hdfs", "hadoop::datanode")),
        stage("9", "hdfs directories for spark", step("9.1", "configure_node", "master", "hadoop::hdfs_directories")),
        stage("10", "spark master", step("10.1", "configure_node", "master", "spark::master")),
        stage("11", "spark workers", group("11.1", "slaves", "spark::common", "spark::worker")),
        stage("12", "component gitarchive[mar01]", step("12.1", "configure_node", "master", "gitarchive[mar01]")),
    ]  # fmt: skip


def record_spark(path: Path) -> Recorder:
    """Record the task of the original's example up to the point that its documentation shows: the middle of stage 5."""
    recorder = Recorder(path).at("17:16:55.0").plan(spark_plan()).start()
    recorder.stage("1", "17:16:55.1", "17:18:18.9", steps=[
        ("1.1", "17:16:55.2", "17:18:17.2"), ("1.2", "17:16:55.1", "17:18:18.9"), ("1.3", "17:16:55.1", "17:18:17.9"),
    ])  # fmt: skip
    recorder.stage("2", "17:18:19.0", "17:18:19.02", steps=[("2.1", "17:18:19.0", "17:18:19.02")])
    recorder.stage("3", "17:18:29.62", "17:18:35.04", steps=[
        ("3.1.1", "17:18:29.7", "17:18:33.1"), ("3.1.2", "17:18:31.92", "17:18:35.03"),
        ("3.2", "17:18:29.65", "17:18:32.95"),
    ])  # fmt: skip
    recorder.stage("4", "17:18:35.2", "17:18:41.04", steps=[
        ("4.1.1", "17:18:35.5", "17:18:40.8"), ("4.1.2", "17:18:35.7", "17:18:41.02"),
        ("4.2", "17:18:35.6", "17:18:40.9"),
    ])  # fmt: skip
    recorder.stage("5", "17:18:41.2", steps=[("5.1", "17:18:41.3")])
    return recorder

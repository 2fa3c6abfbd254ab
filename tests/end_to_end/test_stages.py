"""How stages run on real nodes: windows, canaries, retries, time limits, failures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/flow
version: 0.1.0
components:
  one:
    attributes: {dir: {required: true}}
    actions:
      create: {commands: ['RUN true']}
      meet: {commands: ['RUN until test -e {{ dir }}/free:1 -a -e {{ dir }}/free:2; do sleep 0.1; done'], timeout: 60}
      beside:
        commands:
          - RUN touch {{ dir }}/{{ node.name }}
          - 'RUN until test -e {{ dir }}/apart:{{ [node.index + 1, 3] | min }}; do sleep 0.1; done'
        timeout: 60
      arrive: {commands: ['RUN touch {{ dir }}/{{ node.name }}']}
      note: {commands: ['RUN echo {{ node.name }} >> {{ dir }}/noted']}
      third_time: {commands: ['RUN echo . >> {{ dir }}/tries; test $(wc -l < {{ dir }}/tries) -ge 3']}
      fail: {commands: [RUN false]}
      hang: {commands: [RUN sleep 30]}
assemblies:
  groups:
    nodes:
      apart: {attributes: {type: group, cardinality: 3, max_in_flight: 3}, components: [flow::one]}
      free: {attributes: {type: group, cardinality: 2}, components: [flow::one]}
    workflows:
      create: {subtasks: [{name: one, components: [flow::one]}]}
      meet:
        subtask_order: concurrent
        subtasks:
          - {name: apart, actions: [flow::one.meet], node: apart}
          - {name: free, actions: [flow::one.arrive], node: free}
      beside:
        subtasks: [{name: beside, actions: [flow::one.beside], node: apart}]
      break:
        subtasks: [{name: break, actions: [flow::one.fail], node: apart}]
      first:
        subtasks: [{name: first, actions: [flow::one.fail], node: free, canary: 1}]
      again:
        subtasks: [{name: again, actions: [flow::one.third_time], node: apart, retries: 2, retry_delay: 0.1}]
      late:
        subtasks: [{name: late, actions: [flow::one.hang], node: free, timeout: 0.5}]
      go_on:
        subtasks:
          - {name: broken, actions: [flow::one.fail], on_failure: continue}
          - {name: after, actions: [flow::one.note]}
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """Create a folder that every node can write to, whichever user it runs as."""
    with tempfile.TemporaryDirectory(prefix="dtk-stages-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        for path in folder.iterdir():
            path.unlink()


def start(dtk: Dtk, shared: Path) -> None:
    """Stage the assembly as flow1 with the shared folder, limit one group to one member at a time, and converge."""
    folder = dtk.root / "modules/acme/flow"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    dtk.run("stage", "acme:flow/groups", "flow1")
    for group in ("apart", "free"):
        dtk.run("set-attribute", "flow1", f"{group}/flow::one/dir", str(shared))
    dtk.run("set-attribute", "flow1", "apart/max_in_flight", "1")
    dtk.run("converge", "flow1")


def most_at_once(events: list[dict[str, Any]], group: str) -> int:
    """Return the largest number of steps of a group that ran at the same time."""
    nodes = {
        leaf["number"]: leaf["node"]
        for stage in events[0]["stages"]
        for step in stage["steps"]
        for leaf in step.get("steps", [step])
    }
    running: set[str] = set()
    most = 0
    for event in events:
        if nodes.get(event.get("step", ""), "").startswith(f"{group}:"):
            if event["type"] == "step.started":
                running.add(event["step"])
            if event["type"] == "step.finished":
                running.discard(event["step"])
            most = max(most, len(running))
    return most


def executed(dtk: Dtk, workflow: str, code: int = 0) -> list[dict[str, Any]]:
    """Run a workflow; return its task's events."""
    dtk.run("exec", "flow1", workflow, code=code)
    tasks = (int(path.name) for path in (dtk.root / ".dtk/services/flow1/tasks").iterdir())
    return dtk.events("flow1", max(tasks))


def of_type(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == type_]


def test_stages_keep_to_what_is_said_of_them(dtk: Dtk, shared: Path) -> None:
    start(dtk, shared)
    _a_group_keeps_to_its_window_and_holds_up_no_other(dtk)
    _a_first_contact_ends_nothing_of_nodes_on_the_same_machine(dtk)
    _after_a_failure_the_others_of_the_group_do_not_start(dtk)
    _a_canary_that_fails_is_the_only_one(dtk)
    _a_stage_tries_again(dtk, shared)
    _a_stage_has_a_time_limit(dtk)
    _a_stage_may_fail_and_the_next_go_on(dtk, shared)


def _a_group_keeps_to_its_window_and_holds_up_no_other(dtk: Dtk) -> None:
    events = executed(dtk, "meet")
    assert most_at_once(events, "apart") == 1
    assert len(of_type(events, "step.finished")) == 5


def _a_first_contact_ends_nothing_of_nodes_on_the_same_machine(dtk: Dtk) -> None:
    # Each runs until the next one has begun, so the third is contacted while the second runs.
    dtk.run("set-attribute", "flow1", "apart/max_in_flight", "2")
    events = executed(dtk, "beside")
    assert [event["status"] for event in of_type(events, "step.finished")] == ["succeeded"] * 3
    dtk.run("set-attribute", "flow1", "apart/max_in_flight", "1")


def _after_a_failure_the_others_of_the_group_do_not_start(dtk: Dtk) -> None:
    events = executed(dtk, "break", code=1)
    assert [event["status"] for event in of_type(events, "step.finished")] == ["failed"]


def _a_canary_that_fails_is_the_only_one(dtk: Dtk) -> None:
    events = executed(dtk, "first", code=1)
    assert [event["status"] for event in of_type(events, "step.finished")] == ["failed"]


def _a_stage_tries_again(dtk: Dtk, shared: Path) -> None:
    events = executed(dtk, "again")
    assert len(of_type(events, "step.retrying")) == 2
    assert len((shared / "tries").read_text().splitlines()) == 5


def _a_stage_has_a_time_limit(dtk: Dtk) -> None:
    events = executed(dtk, "late", code=1)
    assert all("0.5 s" in event["error"]["message"] for event in of_type(events, "step.finished"))


def _a_stage_may_fail_and_the_next_go_on(dtk: Dtk, shared: Path) -> None:
    executed(dtk, "go_on")
    noted = sorted((shared / "noted").read_text().split())
    assert noted == ["apart:1", "apart:2", "apart:3", "free:1", "free:2"]

"""The items of actions on real nodes: loops, items that depend on changes, and members that know their peers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/quorum
version: 0.1.0
components:
  member:
    attributes:
      level: {default: info}
      peers: {type: array(string), default: []}
      others: {type: array(string), default: []}
      limits: {type: hash, default: {files: 1024, procs: 64}}
      words: {type: hash, hidden: true, default: {ada: secret-of-ada}}
      seen: {dynamic: true}
    link_defs:
      peers:
        component: quorum::member
        attribute_mappings: [$node.host_address -> peers]
      others:
        component: quorum::member
        include_self: false
        attribute_mappings: ['http://${node.host_address}:80 -> others']
    actions:
      create:
        operations:
          - files.directory: {path: "etc/{{ item }}"}
            for: [a, "b c"]
          - files.template: {src: files/peer, dest: "etc/peer-{{ item }}"}
            for: "{{ peers }}"
            id: peers
          - files.template: {src: files/words, dest: etc/words}
            for: "{{ words }}"
          - files.template: {src: files/config, dest: etc/config}
            id: config
          - server.shell: {commands: ["test ! -e blocked"]}
            unless: test ! -e blocked
          - server.shell: {commands: ["echo restarted >> log"]}
            if_changed: [config, peers]
        outputs: {seen: {command: "echo {{ others }}"}}
      join:
        commands:
          - {RUN: 'echo first >> log', when: '{{ node.is_first }}'}
        max_in_flight: 1
      once: {commands: [RUN echo once >> log]}
      look:
        commands:
          - RUN: echo {{ item.key }} {{ item.value }} >> limits
            for: "{{ limits }}"
            if: test ! -e limits-done
            id: limits
          - {RUN: touch limits-done, if_changed: limits}
          - {RUN: echo never >> log, if_changed: skipped}
"""
ASSEMBLY = """
assemblies:
  cluster:
    nodes:
      members: {attributes: {type: group, cardinality: 2}, components: [quorum::member]}
    workflows:
      create:
        subtasks:
          - {name: members, component: quorum::member}
          - {name: join, action: quorum::member.join}
          - {name: once, action: quorum::member.once, run_once: true}
"""


@pytest.fixture
def service(dtk: Dtk) -> str:
    folder = dtk.root / "modules/acme/quorum"
    (folder / "files").mkdir(parents=True)
    (folder / "files/peer").write_text("peer {{ item }} of {{ peers | length }}\n")
    (folder / "files/config").write_text("level {{ level }}\n")
    (folder / "files/words").write_text("{{ item.key }} {{ item.value }}\n")
    skipped = "          - {RUN: 'true', unless: 'true', id: skipped}\n"
    text = MODULE.lstrip().replace("          - {RUN: echo never", skipped + "          - {RUN: echo never")
    (folder / "dtk.module.yaml").write_text(text + ASSEMBLY.lstrip("\n"))
    dtk.run("validate")
    dtk.run("stage", "acme:quorum/cluster", "q1")
    return "q1"


def homes(dtk: Dtk, service: str) -> dict[str, Path]:
    return {node["node"]: Path(node["attributes"]["home"]) for node in dtk.json("list-nodes", service)}


def restarts(home: Path) -> int:
    return (home / "log").read_text().splitlines().count("restarted")


def test_items_repeat_for_each_element_and_follow_what_changed_and_only_that(dtk: Dtk, service: str) -> None:
    shown = dtk.run("converge", service).stdout
    addresses, found = dtk.addresses(service), homes(dtk, service)
    for node, other in (("members:1", "members:2"), ("members:2", "members:1")):
        etc = found[node] / "etc"
        assert (etc / "b c").is_dir()
        assert (etc / f"peer-{addresses[other]}").read_text() == f"peer {addresses[other]} of 2\n"
        assert (etc / "words").read_text() == "ada secret-of-ada\n"
        rows = {row["path"]: row["value"] for row in dtk.json("list-attributes", service)}
        assert rows[f"{node}/quorum::member/seen"] == f"http://{addresses[other]}:80"
        once = ["first", "once"] if node == "members:1" else []
        assert (found[node] / "log").read_text().split() == ["restarted", *once]
    assert "secret-of-ada" not in shown
    steps = [event for event in dtk.events(service, 1) if event["type"] in ("step.started", "step.finished")]
    join = [event["type"] for event in steps if event["step"].startswith("3.")]
    assert join == ["step.started", "step.finished"] * 2, "one member after the other"

    again = dtk.run("converge", service)
    assert "Nothing had to be changed." in again.stdout
    assert "\n0 of 2 nodes changed, " in f"\n{again.stderr}", "the actions that a converge always runs are no changes"
    dtk.run("plan", service, "--refresh", "--detailed-exitcode")
    assert restarts(found["members:1"]) == 1
    dtk.run("set-attribute", service, "members/quorum::member/level", "debug")
    dtk.run("apply", service, "--yes")
    assert restarts(found["members:1"]) == 2

    dtk.run("exec", service, "members:1/quorum::member.look")
    dtk.run("exec", service, "members:1/quorum::member.look")
    assert (found["members:1"] / "limits").read_text() == "files 1024\nprocs 64\n"
    assert "never" not in (found["members:1"] / "log").read_text()


def test_what_follows_a_change_is_made_up_for_when_the_task_failed_in_between(dtk: Dtk, service: str) -> None:
    dtk.run("converge", service)
    found = homes(dtk, service)
    (found["members:2"] / "blocked").touch()
    dtk.run("set-attribute", service, "members/quorum::member/level", "debug")
    dtk.run("apply", service, "--yes", code=1)
    assert (restarts(found["members:1"]), restarts(found["members:2"])) == (2, 1)
    (found["members:2"] / "blocked").unlink()
    dtk.run("apply", service, "--resume", "--yes")
    assert (restarts(found["members:1"]), restarts(found["members:2"])) == (2, 2)


def test_members_that_stay_learn_of_one_that_comes_and_a_group_can_be_emptied(dtk: Dtk, service: str) -> None:
    dtk.run("converge", service)
    dtk.run("set-attribute", service, "members/cardinality", "3")
    dtk.run("apply", service, "--yes")
    found = homes(dtk, service)
    assert {len(list((home / "etc").glob("peer-*"))) for home in found.values()} == {3}
    dtk.run("set-attribute", service, "members/cardinality", "0")
    dtk.run("set-attribute", service, "members/quorum::member/level", "warning")
    dtk.run("apply", service, "--yes")
    assert dtk.json("list-nodes", service) == []
    assert "members (0)" in dtk.run("graph", service).stdout
    assert "group 'members' has no members" in dtk.run("exec", service, "quorum::member.look", code=2).stderr
    assert "quorum::member" in dtk.run("list-components", service).stdout

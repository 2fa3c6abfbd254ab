"""A service on hosts, used from clones that have only what is in git: no host is claimed twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_hosts import with_module
from tests.support.command_line import Dtk

CLUSTER = "acme:ring/cluster"


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """Start six machines; return their entries in dtk.yaml."""
    lab = with_module(tmp_path / "lab")
    lab.run("deploy", CLUSTER, "lab", "--set", "slaves/cardinality=5")
    yield [node["connection"] for node in lab.json("list-nodes", "lab")]
    lab.run("delete-and-destroy", "lab", "--yes", "--force")


@pytest.fixture
def origin(tmp_path: Path, machines: list[dict[str, Any]]) -> Dtk:
    """Create what is committed: dtk.yaml, a module and a service with three nodes."""
    dtk = with_module(tmp_path / "origin")
    hosts = {f"h{n}": {"address": m["hostname"], "port": m["port"]} for n, m in enumerate(machines, start=1)}
    rack = {"type": "hosts", "user": machines[0]["user"], "key": machines[0]["key"], "hosts": hosts}
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write(f"default_target: rack\ntargets: {json.dumps({'rack': {**rack, 'connect_timeout': 5}})}\n")
    dtk.run("stage", CLUSTER, "app1")
    return dtk


def clone(origin: Dtk, name: str) -> Dtk:
    """Make a fresh clone: everything in git, without .dtk."""
    root = origin.root.parent / name
    shutil.copytree(origin.root, root, ignore=shutil.ignore_patterns(".dtk"))
    return Dtk(root)


def homes(origin: Dtk) -> list[str]:
    """Return the nodes of app1 according to the marks on the hosts, as a fresh clone reads them."""
    return sorted(row["node"] for row in clone_json(origin))


def clone_json(origin: Dtk) -> list[dict[str, Any]]:
    looker = clone(origin, f"looker{len(list(origin.root.parent.iterdir()))}")
    config = looker.root / "dtk.yaml"
    # Without the store, the clone knows only the marks on the hosts.
    config.write_text("".join(line for line in config.read_text().splitlines(keepends=True) if "store:" not in line))
    return [row for row in looker.json("list-nodes", "--orphans") if row["service"] == "app1"]


def test_three_clones_make_a_service_on_hosts_once(origin: Dtk) -> None:
    one = clone(origin, "one")
    output = one.run("plan", "app1", "--out", "../plan.json")
    assert "no state in this workspace: everything is planned as new" in output.stderr
    one.run("apply", "../plan.json")
    nodes = ["master", "slaves:1", "slaves:2"]
    assert homes(origin) == nodes

    again = clone(origin, "two").run("apply", "../plan.json", code=5).stderr
    assert "3 machines of service 'app1' exist that this folder does not know" in again
    assert "by dtk " in again
    assert "dtk list-nodes --orphans --adopt" in again
    assert homes(origin) == nodes

    three = clone(origin, "three")
    for command in (["apply", "app1", "--yes"], ["converge", "app1"], ["stop", "app1"], ["exec", "app1", "smoke_test"]):
        done = three.run(*command, code=5)
        assert "3 machines" in done.stderr, command
        assert "Nothing to do" not in done.stdout
    assert "3 machines" in three.run("ssh", "app1", "master", "--", "true", code=5).stderr
    taken = three.run("list-nodes", "--orphans", "--adopt").stdout
    assert "The state does not say what is applied on these nodes of 'app1'. dtk apply app1 checks it" in taken
    assert "the configuration on the node is unknown, so this apply verifies it" in three.run("plan", "app1").stdout
    three.run("apply", "app1", "--yes")
    assert "Nothing to do" in three.run("plan", "app1").stdout
    assert homes(origin) == nodes

    four = clone(origin, "four")
    four.run("delete-and-destroy", "app1", "--yes")
    assert homes(origin) == []


def test_three_clones_with_a_store_go_on_from_each_other(origin: Dtk) -> None:
    with (origin.root / "dtk.yaml").open("a") as file:
        file.write("store: {type: folder, path: ../store}\n")
    one = clone(origin, "one")
    one.run("plan", "app1", "--out", "../plan.json")
    one.run("apply", "../plan.json")
    nodes = ["master", "slaves:1", "slaves:2"]
    assert homes(origin) == nodes
    # The same plan again (a repeated job), the next push, a colleague, and a delete from any clone.
    assert "the plan is stale" in clone(origin, "two").run("apply", "../plan.json", code=5).stderr
    three = clone(origin, "three")
    assert "Nothing to do" in three.run("apply", "app1", "--yes").stdout
    assert "Nothing to do" in three.run("plan", "app1", "--refresh").stdout
    assert three.json("list-tasks", "app1") == one.json("list-tasks", "app1")
    three.run("set-attribute", "app1", "slaves/cardinality", "3")
    three.run("apply", "app1", "--yes")
    assert homes(origin) == [*nodes, "slaves:3"]
    assert [node["node"] for node in one.json("list-nodes", "app1")] == [*nodes, "slaves:3"]
    check_host_keys_of_others(one)
    # git no longer has the service's folder or its target, so dtk reads them from the last task's plan in the store.
    four = clone(origin, "four")
    shutil.rmtree(four.root / "services/app1")
    config = (four.root / "dtk.yaml").read_text().splitlines(keepends=True)
    (four.root / "dtk.yaml").write_text("".join(line for line in config if "target" not in line))
    assert [row["service"] for row in four.json("plan", "--prune")] == ["app1"]
    four.run("delete-and-destroy", "app1", "--yes")
    assert homes(origin) == []
    assert [node["status"] for node in one.json("list-nodes", "app1") if node["id"]] == []


def check_host_keys_of_others(one: Dtk) -> None:
    """Check that a host key pinned by another clone (for slaves:3) is used here before this clone first connects."""
    known = one.root / ".dtk/services/app1/known_hosts"
    key = one.json("list-nodes", "app1")[-1]["attributes"]["host_key"]
    assert known.exists()
    assert key not in known.read_text()
    one.run("ssh", "app1", "slaves:1", "--", "true")
    assert known.read_text().count(key) == 1


def test_two_clones_that_begin_a_service_on_hosts_at_once_do_not_both_get_it(origin: Dtk) -> None:
    clones = [clone(origin, name) for name in ("one", "two")]
    running = [one.start("apply", "app1", "--yes") for one in clones]
    output = [process.communicate(timeout=300)[0] for process in running]
    codes = [process.returncode for process in running]
    refused = "another clone is creating the machines of service 'app1'", "machines of service 'app1' exist"
    assert set(codes) <= {0, 1, 5}
    assert any(codes), "both had the machines"
    assert all(code == 0 or any(text in out for text in refused) for code, out in zip(codes, output, strict=True)), (
        output
    )
    # However far each of them got, one clone can adopt all machines, and no node has two hosts.
    one = clones[codes.index(0)] if 0 in codes else clones[0]
    one.run("list-nodes", "--orphans", "--adopt")
    one.run("apply", "app1", "--yes")
    assert "Nothing to do" in one.run("plan", "app1").stdout
    assert homes(origin) == ["master", "slaves:1", "slaves:2"]


def test_a_host_that_cannot_be_asked_hides_nothing_and_stops_only_what_needs_it(origin: Dtk) -> None:
    file = origin.root / "dtk.yaml"
    config = file.read_text()
    # Nothing listens on this port: it acts as a host of the pool that is switched off.
    off = config.replace('"hosts": {', '"hosts": {"h0": {"address": "127.0.0.1", "port": 9, "nodes": ["nobody"]}, ')
    assert off != config
    file.write_text(off)
    one = clone(origin, "one")
    made = one.run("apply", "app1", "--yes")
    assert (
        "warning: cannot determine whether service 'app1' has hosts: 1 of 7 hosts of target 'rack' could not be"
        " checked; 'h0': no SSH connection to 127.0.0.1:9 within 2 s: " in made.stderr
    )
    two = clone(origin, "two")
    assert "3 machines of service 'app1' exist" in two.run("apply", "app1", "--yes", code=5).stderr
    assert "3 machines of service 'app1' exist" in two.run("stop", "app1", code=5).stderr
    # Destroying fails while a host that cannot be asked may still have a node.
    refused = two.run("delete-and-destroy", "app1", "--yes", code=1)
    assert "1 of 7 hosts of target 'rack' could not be checked" in refused.stderr
    assert "remove those that no longer exist from dtk.yaml" in refused.stderr
    file.write_text(config)
    assert homes(origin) == ["master", "slaves:1", "slaves:2"]
    clone(origin, "three").run("delete-and-destroy", "app1", "--yes")
    assert homes(origin) == []


def test_a_host_of_another_service_is_refused_from_another_clone(origin: Dtk) -> None:
    clone(origin, "one").run("apply", "app1", "--yes")
    other = clone(origin, "other")
    shutil.rmtree(other.root / "services/app1")
    other.run("stage", CLUSTER, "app2")
    refused = other.run("apply", "app2", "--yes", code=1).stdout
    assert "of service 'app1'" in refused
    assert other.json("list-nodes", "app2") == []
    assert homes(origin) == ["master", "slaves:1", "slaves:2"]


def test_a_refresh_rebuilds_the_state_and_what_has_no_file_any_more_is_ended_by_its_name(
    origin: Dtk,
) -> None:
    clone(origin, "one").run("apply", "app1", "--yes")
    two = clone(origin, "two")
    two.run("set-attribute", "app1", "slaves/cardinality", "1")
    asked = two.run("plan", "app1", "--refresh", code=5).stdout
    assert asked.count("is not in the state; to adopt it: dtk apply app1 --refresh") == 3
    assert [node for node in two.json("list-nodes", "app1") if node["id"]] == [], "a refresh writes nothing"
    output = two.run("plan", "app1", "--refresh", "--out", "plan.json").stdout
    assert output.count("which was not in the state") == 3
    assert [node["node"] for node in two.json("list-nodes", "app1")] == ["master", "slaves:1", "slaves:2"]
    assert {one["node"]: one["change"] for one in two.json("plan", "app1")["nodes"]}["slaves:2"] == "terminate"
    three = clone(origin, "three")
    shutil.rmtree(three.root / "services/app1")
    (row,) = three.json("plan", "--prune")
    assert (row["service"], len(row["machines"])) == ("app1", 3)
    three.run("delete-and-destroy", "app1", "--yes")
    assert homes(origin) == []
    assert three.json("plan", "--prune") == []


def test_a_state_that_is_carried_to_another_clone_brings_the_host_keys_along(origin: Dtk) -> None:
    one = clone(origin, "one")
    one.run("apply", "app1", "--yes")
    two = clone(origin, "two")
    shutil.copytree(one.root / ".dtk", two.root / ".dtk")
    folder = two.root / ".dtk/services/app1"
    (folder / "known_hosts").unlink()
    state = json.loads((folder / "state.json").read_text())
    keys = {name: node["attributes"]["host_key"] for name, node in state["nodes"].items()}
    assert len(set(keys.values())) == 3
    two.run("converge", "app1")
    pinned = (folder / "known_hosts").read_text()
    assert all(key in pinned for key in keys.values())
    (folder / "known_hosts").unlink()
    two.run("ssh", "app1", "master", "--", "true")
    # All host keys, not only that of the host that answered.
    assert sorted((folder / "known_hosts").read_text().splitlines()) == sorted(pinned.splitlines())
    state = json.loads((folder / "state.json").read_text())
    state["nodes"]["master"]["attributes"]["host_key"] = keys["slaves:1"]
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "known_hosts").unlink()
    assert "HOST IDENTIFICATION HAS CHANGED" in two.run("ssh", "app1", "master", "--", "true", code=255).stderr
    (folder / "known_hosts").unlink()
    assert "host key" in two.run("converge", "app1", code=1).stdout

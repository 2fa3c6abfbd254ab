"""Changes of a running service: removed components, nodes and members, chosen links, several services at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.command_line import Dtk
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("module")


def home(dtk: Dtk, service: str, node: str) -> Path:
    return next(Path(n["attributes"]["home"]) for n in dtk.json("list-nodes", service) if n["node"] == node)


def test_one_member_goes_and_its_number_is_not_given_again(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=3")
    kept = dtk.addresses("ring1")["slaves:3"]
    dtk.run("delete-node", "ring1", "slaves:2")
    assert "terminate slaves:2" in dtk.run("plan", "ring1").stdout
    shown = dtk.run("apply", "ring1", "--yes").stdout
    assert "slaves:2" in shown
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1", "slaves:3"]
    assert dtk.addresses("ring1")["slaves:3"] == kept
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    dtk.run("apply", "ring1", "--yes")
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1", "slaves:3", "slaves:4"]


def test_a_deleted_component_runs_its_delete_action_and_is_forgotten(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("delete-component", "ring1", "master/ring::roll")
    dtk.run("delete-component", "ring1", "slaves/ring::member")
    plan = dtk.run("plan", "ring1").stdout
    assert "slaves:[1-2]/ring::member" in plan
    assert "no longer in the service" in plan
    assert "leaves" in dtk.run("apply", "ring1", "--yes").stdout
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout
    dtk.run("add-component", "ring1", "slaves/ring::member")
    assert "(new component)" in dtk.run("plan", "ring1").stdout


def test_an_added_group_joins_the_service_and_a_link_says_where_it_belongs(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("add-node", "ring1", "edge")
    dtk.run("add-component", "ring1", "edge/ring::hub")
    violations = dtk.json("list-violations", "ring1")
    assert violations[0]["type"] == "unmet_dependency"
    assert violations[0]["fix"] == "dtk link ring1 slaves/ring::member edge/ring::hub"
    dtk.run(*violations[0]["fix"].split()[1:])
    assert dtk.json("list-violations", "ring1") == []
    dtk.run("apply", "ring1", "--yes")
    address = dtk.addresses("ring1")["edge"]
    assert (home(dtk, "ring1", "slaves:1") / "hub").read_text().startswith(address)
    dtk.run("delete-node", "ring1", "edge")
    dtk.run("link", "ring1", "slaves/ring::member", "master/ring::hub")
    dtk.run("apply", "ring1", "--yes")
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1", "slaves:2"]


def is_deployed(dtk: Dtk, service: str) -> bool:
    return bool(dtk.json("task-status", service)["status"] == "succeeded")


def test_several_services_deploy_at_once_without_touching_one_another(dtk: Dtk) -> None:
    names = ["one", "two", "three"]
    for name in names:
        dtk.run("deploy", "acme:ring/cluster", name, "--detach", "--set", "slaves/ring::member/work=sleep 2")
    executing = {row["service_instance"]: row["last_run"] for row in dtk.json("ls")}
    assert set(executing) == set(names)
    for name in names:
        eventually(partial(is_deployed, dtk, name), f"{name} is deployed")
    addresses = [address for name in names for address in dtk.addresses(name).values()]
    assert len(set(addresses)) == len(addresses) == 9
    for name in names:
        hub = (home(dtk, name, "slaves:2") / "hub").read_text()
        assert hub.startswith(dtk.addresses(name)["master"])
    dtk.run("delete-and-destroy", "two", "--yes")
    assert [row["status"] for row in dtk.json("ls")] == ["running", "running"]

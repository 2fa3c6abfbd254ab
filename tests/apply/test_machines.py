"""Tests of creating, stopping, starting and terminating nodes through their target, and of the resulting state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.model.plan import Stage, Step, StepType
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.targets import provider_for
from dtk.state.lock import holder
from dtk.state.store import load_state
from dtk.targets import EMBEDDED
from tests.apply.lab import SERVICE, Lab, action, run, stage

NODES = ("master", "slaves:1", "slaves:2")


def machines(number: int, kind: StepType, *nodes: str) -> Stage:
    """Return a stage with one step of this type per node."""
    steps = tuple(Step(f"{number}.{index}", kind, node) for index, node in enumerate(nodes, start=1))
    return Stage(str(number), f"{kind} stage", steps)


@pytest.fixture
def local(lab: Lab) -> Iterator[Lab]:
    """Yield a lab whose nodes come from the target ``local``. Nodes that a test leaves behind are terminated."""
    yield lab
    state = load_state(lab.workspace.state_file(SERVICE))
    if state is not None:
        folder = lab.workspace.service_folder(SERVICE)
        records = [record_of(name, node) for name, node in state.nodes.items()]
        identity = ServiceIdentity(SERVICE, state.lineage, folder)
        provider_for(EMBEDDED, lab.workspace).terminate(identity, records, lambda *_: None)


def test_nodes_live_from_create_to_destroy(local: Lab) -> None:
    local.workspace.service_file(SERVICE).parent.mkdir(parents=True)
    local.workspace.service_file(SERVICE).write_text("service: dask1\n")
    where = {"$template": "echo {{ node.name }} {{ node.host_address }} > where; cat where", "shell": True}
    result = local.apply(
        machines(1, "create_node", *NODES), stage(2, *(action(n, "m::c", run(where), run("cat where")) for n in NODES))
    )
    assert result.exit_code == 0, result.events
    assert {e["node"]: e["change"] for e in result.of("node.changed")} == dict.fromkeys(NODES, "created")
    addresses = {name: node.attributes["host_address"] for name, node in local.state.nodes.items()}
    output = {e["node"]: e["stdout"] for e in result.of("operation.finished", command="cat where")}
    assert output == {name: f"{name} {address}" for name, address in addresses.items()}
    identities = {name: node.id for name, node in local.state.nodes.items()}

    stopped = local.apply(machines(1, "power_off_node", "slaves:2"))
    assert stopped.exit_code == 0, stopped.events
    assert local.state.nodes["slaves:2"].status == "stopped"
    refused = local.apply(stage(1, action("slaves:2", "m::c", run("true"))))
    assert "slaves:2 does not run" in refused.step("1.1")["error"]["message"]

    again = local.apply(
        machines(1, "power_on_node", "slaves:2"), stage(2, action("slaves:2", "m::c", run("cat where")))
    )
    assert again.exit_code == 0, again.events
    assert local.state.nodes["slaves:2"].id == identities["slaves:2"]

    scaled = local.apply(machines(1, "terminate_node", "slaves:2"))
    assert scaled.exit_code == 0, scaled.events
    assert sorted(local.state.nodes) == ["master", "slaves:1"]
    assert "slaves:2" not in local.state.applied
    pinned = (local.workspace.service_folder(SERVICE) / "known_hosts").read_text()
    assert str(addresses["slaves:2"]) not in pinned
    assert str(addresses["master"]) in pinned

    destroyed = local.start(machines(1, "terminate_node", "master", "slaves:1"), destroys=True)
    assert destroyed.process.wait(timeout=60) == 0
    # Only the tasks' logs remain, and the lock file, which is locked again if the service is staged again.
    left = local.workspace.service_folder(SERVICE)
    assert {path.name for path in left.rglob("*") if path.is_file()} <= {"events.jsonl", "lock"}
    assert not local.workspace.service_file(SERVICE).parent.exists()
    assert holder(local.workspace.service_folder(SERVICE)) is None


def test_a_create_that_is_cut_short_does_not_lose_or_double_a_node(local: Lab) -> None:
    started = local.start(machines(1, "create_node", "master"))
    local.wait_for(started, "step.started")
    started.process.kill()
    started.process.wait()
    result = local.apply(machines(1, "create_node", "master"), stage(2, action("master", "m::c", run("true"))))
    assert result.exit_code == 0, result.events
    assert list(local.state.nodes) == ["master"]
    folder = Path(str(local.state.nodes["master"].attributes["home"])).parent
    assert [path.name for path in folder.iterdir()] == ["master"]


def test_a_node_that_its_target_can_not_make_fails_alone(local: Lab) -> None:
    hosts = {
        "name": "rack",
        "type": "hosts",
        "connect_timeout": 10,
        "hosts": {
            "alpha": {"address": "127.0.0.1", "port": local.add_node("alpha").port, "nodes": ["master"]},
            "beta": {"address": "127.0.0.1", "port": 1, "nodes": ["slaves"]},
        },
        "user": "tester",
        "key": str(local.key_file),
    }
    result = local.apply(machines(1, "create_node", "master", "slaves:1"), target=hosts)
    assert result.exit_code == 1
    assert result.step("1.1")["status"] == "succeeded", result.events
    assert result.step("1.2")["status"] == "failed"
    assert local.state.nodes["master"].status == "running"
    # A node whose creation may have started stays in the state, so that it can be created or terminated later.
    assert local.state.nodes["slaves:1"].status == "pending"


def test_destroying_keeps_everything_when_a_node_can_not_be_ended(local: Lab) -> None:
    local.add_node("master")
    result = local.apply(machines(1, "terminate_node", "no-such-node"), destroys=True)
    assert result.exit_code == 1
    assert result.end["next_command"] == "dtk delete-and-destroy dask1"
    assert local.workspace.state_file(SERVICE).exists()

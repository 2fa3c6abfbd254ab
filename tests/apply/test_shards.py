"""Tests of connections that other processes hold: the same results, a killed process, a cancel, secrets."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest

from dtk.apply.cancel import cancel_task
from dtk.apply.launch import StartedTask
from dtk.model.executor import Executor
from dtk.model.plan import Stage
from dtk.ssh.connections import OwnConnections
from dtk.ssh.shards.connections import NODES_A_SHARD, ShardConnections, connections_for
from dtk.ssh.shards.shard_process import PROCESS
from dtk.state.model import State
from tests.apply.lab import SERVICE, Event, Lab, action, is_running, operation, output, run, stage, wait_until
from tests.apply.server import SshServer

LONG = "echo $$ > pid; sleep 300"
UPLOADED = bytes(range(256)) * 12_000
IMPATIENT = {"name": "local", "type": "local", "connect_timeout": 1}
NODES = ("a:1", "a:2", "a:3")


def met(*nodes: str) -> Stage:
    """Return a stage in which the task meets its nodes.

    The first contact with a node ends what the service's earlier tasks left running on its machine. Here all nodes
    are on one machine, so that it would end the commands of nodes that were met before.
    """
    return stage(1, *(action(node, "m::met") for node in nodes))


def shards_of(started: StartedTask) -> list[psutil.Process]:
    """Return the shards of a task that still runs."""
    children = psutil.Process(started.pid).children(recursive=True)
    return [child for child in children if PROCESS in child.cmdline() and str(started.folder) in child.cmdline()]


def pid_in(server: SshServer) -> int:
    """Wait until LONG runs and return its process ID."""
    file = server.home / "pid"
    return int(wait_until(lambda: file.read_text().strip() if file.exists() else ""))


def comparable(event: Event) -> str:
    """Return what two runs of the same plan have in common in an event."""
    apart = ("seq", "ts", "seconds", "pid", "task", "by", "plan_digest")
    return json.dumps({name: value for name, value in event.items() if name not in apart}, sort_keys=True)


def same(state: State) -> Mapping[str, Any]:
    """Return what two runs of the same plan have in common in the state."""
    return {**vars(replace(state, lineage="", origin="", nodes={})), "names": sorted(state.nodes)}


def outcome(root: Path, workers: int) -> tuple[Counter[str], Mapping[str, Any], list[tuple[int, int]]]:
    """Run one plan on three new nodes; return its events, its state and each node's logins and channels."""
    lab = Lab(root / "workspace")
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "sent").write_bytes(UPLOADED)
    files = {"sent": hashlib.sha256(UPLOADED).hexdigest()}
    try:
        servers = [lab.add_node(node) for node in NODES]
        items = (
            operation("files.put", {"src": "sent", "dest": "sent"}),
            run("wc -c < sent; echo errors >&2; yes line | head -n 20000"),
        )
        value = output("{}/m::c/value", "cksum < sent")
        created = [
            action(node, "m::c", *items, files=files, outputs=({**value, "attribute": f"{node}/m::c/value"},))
            for node in NODES
        ]
        started = lab.start(
            met(*NODES),
            stage(2, *created),
            stage(3, action("a:1", "m::d", run("exit 3")), action("a:2", "m::d", run("echo fine"))),
            modules={"test/mod": module},
            workers=workers,
        )
        result = lab.result(started)
        assert result.exit_code == 1
        assert (result.folder / "worker.log").read_text() == ""
        addresses = {f"{server.host}:{server.port}" for server in servers}
        events = Counter(comparable(event) for event in result.events if event["type"] not in QUIET)
        assert not any(address in event for event in events for address in addresses)
        return events, same(lab.state), [(server.logins, server.channels) for server in servers]
    finally:
        lab.close()


QUIET = ("step.output", "step.heartbeat")
"""Events whose number depends on the time that something takes."""


def test_a_task_is_the_same_with_one_process_and_with_two(tmp_path: Path) -> None:
    one, two = (outcome(tmp_path / name, workers) for name, workers in (("one", 1), ("two", 2)))
    assert one[0] == two[0]
    assert one[1:] == two[1:]


def test_a_killed_process_fails_its_steps_in_doubt_and_resume_heals(lab: Lab) -> None:
    servers = {node: lab.add_node(node) for node in ("a:1", "a:2")}
    lasting = run("test -e again || { touch again; echo $$ > pid; sleep 300; }")
    beside = run("test -e ../go || { touch here; until [ -e go ]; do sleep 0.1; done; }")
    plan = (met(*servers), stage(2, action("a:1", "m::c", lasting), action("a:2", "m::c", beside)))
    started = lab.start(*plan, workers=2)
    left = pid_in(servers["a:1"])
    wait_until((servers["a:2"].home / "here").exists)
    held = {
        shard.pid: [one.raddr.port for one in shard.net_connections("tcp") if one.raddr] for shard in shards_of(started)
    }
    assert sorted(port for ports in held.values() for port in ports) == sorted(one.port for one in servers.values())
    (of_first,) = (pid for pid, ports in held.items() if servers["a:1"].port in ports)
    os.kill(of_first, signal.SIGKILL)
    finished = lab.wait_for(started, "step.finished", step="2.1")
    (servers["a:2"].home / "go").touch()
    result = lab.result(started)
    assert (finished["status"], finished["in_doubt"]) == ("failed", True)
    assert "the process of dtk that held it was ended by SIGKILL" in finished["error"]["message"]
    assert result.step("2.2")["status"] == "succeeded"
    assert (result.exit_code, result.end["status"], result.end["in_doubt"]) == (1, "failed", ["2.1"])
    assert not is_running(left)
    assert lab.apply(*plan, workers=2, resumes=1).exit_code == 0


def test_an_idle_process_that_is_killed_costs_nothing(lab: Lab) -> None:
    servers = {node: lab.add_node(node) for node in ("a:1", "a:2")}
    waits = action("a:2", "m::c", run("touch here; until [ -e go ]; do sleep 0.1; done"))
    last = action("a:1", "m::d", run("touch second"))
    started = lab.start(met(*servers), stage(2, waits), stage(3, last), workers=2)
    wait_until((servers["a:2"].home / "here").exists)
    (idle,) = (
        shard
        for shard in shards_of(started)
        if servers["a:1"].port in [one.raddr.port for one in shard.net_connections("tcp") if one.raddr]
    )
    idle.kill()
    # Once the worker has noticed: a command that it sends before that is in doubt.
    wait_until(lambda: not psutil.pid_exists(idle.pid))
    (servers["a:2"].home / "go").touch()
    assert lab.result(started).exit_code == 0
    assert (servers["a:1"].home / "second").exists()


def test_cancel_ends_commands_and_processes(lab: Lab) -> None:
    servers = [lab.add_node(node) for node in NODES]
    started = lab.start(met(*NODES), stage(2, *(action(node, "m::c", run(LONG)) for node in NODES)), workers=2)
    running = [pid_in(server) for server in servers]
    shards = [shard.pid for shard in shards_of(started)]
    assert len(shards) == 2
    cancel_task(lab.workspace, SERVICE)
    result = lab.result(started)
    statuses = [result.step(f"2.{number}")["status"] for number in (1, 2, 3)]
    assert (result.exit_code, statuses) == (6, ["cancelled"] * 3)
    assert [pid for pid in (*running, *shards) if is_running(pid)] == []


def test_the_processes_of_a_killed_worker_end(lab: Lab) -> None:
    servers = [lab.add_node(node) for node in NODES]
    started = lab.start(met(*NODES), stage(2, *(action(node, "m::c", run(LONG)) for node in NODES)), workers=2)
    running = [pid_in(server) for server in servers]
    shards = [shard.pid for shard in shards_of(started)]
    os.kill(started.pid, signal.SIGKILL)
    started.process.wait()
    wait_until(lambda: not any(is_running(pid) for pid in shards))
    for server, pid in zip(servers, running, strict=True):
        server.kill(pid)


def test_a_secret_reaches_the_node_and_no_process_list(lab: Lab) -> None:
    secret = "canary-8f31c2"
    server = lab.add_node("a:1")
    (lab.workspace.root / "secret").write_text(secret)
    command = {
        "$template": "printf %s {{ password }} > got; echo {{ password }}; echo $$ > pid; sleep 300",
        "shell": True,
    }
    password = {"password": {"$secret": f"file:{lab.workspace.root / 'secret'}"}}
    started = lab.start(stage(1, action("a:1", "m::c", run(command), attributes=password)), workers=2)
    pid_in(server)
    (shard,) = shards_of(started)
    seen = [*shard.cmdline(), *shard.environ().values()]
    lab.wait_for(started, "step.output")
    cancel_task(lab.workspace, SERVICE)
    lab.result(started)
    assert (server.home / "got").read_text() == secret
    written = [file.read_text(errors="replace") for file in lab.workspace.local.rglob("*") if file.is_file()]
    assert not [text for text in (*seen, *written) if secret in text]


def test_a_changed_host_key_is_refused_and_a_new_one_pinned(lab: Lab) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    refused, new = lab.add_node("a:1", host_key=other), lab.add_node("a:2")
    result = lab.apply(stage(1, *(action(node, "m::c", run("true")) for node in ("a:1", "a:2"))), workers=2)
    assert f"the host key of [127.0.0.1]:{refused.port} has changed" in result.step("1.1")["error"]["message"]
    assert (refused.channels, result.step("1.2")["status"]) == (0, "succeeded")
    pinned = dict(line.split(maxsplit=1) for line in lab.workspace.known_hosts(SERVICE).read_text().splitlines())
    assert pinned[f"[127.0.0.1]:{refused.port}"].split() == other.split()[:2]
    key = new.host_key.export_public_key().decode().split()[:2]
    assert pinned[f"[127.0.0.1]:{new.port}"].split() == key


def test_a_lost_connection_says_the_same_as_with_one_process(lab: Lab) -> None:
    server = lab.add_node("a:1")
    started = lab.start(stage(1, action("a:1", "m::c", run(LONG))), workers=2)
    pid_in(server)
    server.stop()
    finished = lab.result(started).step("1.1")
    assert "the connection to a:1 was lost: the node went down or rebooted" in finished["error"]["message"]
    assert finished["in_doubt"]


def test_an_unreachable_node_is_named(lab: Lab) -> None:
    lab.add_node("a:1").stop()
    result = lab.apply(stage(1, action("a:1", "m::c", run("true"))), workers=2, target=IMPATIENT)
    assert (
        f"no SSH connection to 127.0.0.1:{lab.servers['a:1'].port} within 1 s" in result.step("1.1")["error"]["message"]
    )


@pytest.mark.parametrize(
    ("nodes", "workers", "cores", "expected"),
    [
        (NODES_A_SHARD * 2 - 1, 0, 8, 1),
        (NODES_A_SHARD * 2, 0, 8, 2),
        (NODES_A_SHARD * 100, 0, 8, 8),
        (NODES_A_SHARD * 100, 0, 1, 1),
        (3, 2, 1, 2),
        (NODES_A_SHARD * 100, 1, 8, 1),
    ],
)
def test_auto_starts_processes_for_many_nodes_only(
    monkeypatch: pytest.MonkeyPatch, nodes: int, workers: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    made = connections_for(nodes, Executor(workers), "task")
    assert isinstance(made, ShardConnections if expected > 1 else OwnConnections)
    assert getattr(made, "count", 1) == expected

"""Many hosts at once, simulated in memory: every byte arrives, dead hosts delay no others, channels are counted."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dtk.nodes.provider import Connection
from dtk.state.model import NodeState
from dtk.state.store import new_state, save_state
from tests.apply.lab import SERVICE, Lab, action, operation, output, run, stage
from tests.reliability.forms import IS_LONG
from tests.support.farm import Farm, farm, said

HOSTS = 1000 if IS_LONG else 30
SIZES = (17, 2_000, 40_000)
CONNECT_SECONDS = 20


@pytest.fixture
def hosts(lab: Lab) -> Iterator[Farm]:
    with farm(lab.client_key, lab.workspace.root) as made:
        yield made


def put_nodes(lab: Lab, ports: Mapping[str, int]) -> None:
    nodes = {
        name: NodeState(
            f"id-{name}",
            "running",
            asdict(Connection("127.0.0.1", port, "farm", str(lab.key_file))),
            {"host_address": "127.0.0.1", "home": "/home/farm"},
        )
        for name, port in ports.items()
    }
    first = new_state(SERVICE)
    save_state(lab.workspace.state_file(SERVICE), type(first)(**{**vars(first), "nodes": nodes}))


def test_every_byte_of_many_hosts_arrives(lab: Lab, hosts: Farm) -> None:
    names = [f"n{number}" for number in range(1, HOSTS + 1)]
    put_nodes(lab, dict.fromkeys(names, hosts.port))
    actions = [
        action(
            name,
            "m::c",
            *(run(f"farm-say {size} {name}") for size in SIZES[:2]),
            run(f"farm-say 1 {name}"),
            outputs=(output(f"{name}/m::c/value", f"farm-say {SIZES[2]} {name}"),),
        )
        for name in names
    ]
    started = lab.start(stage(1, *actions), target={"name": "local", "type": "local", "connect_timeout": 300})
    assert started.process.wait(timeout=1800) == 0
    result = lab.result(started)
    printed = {
        (event["node"], event["command"]): event["stdout"] for event in result.of("operation.finished", kind="run")
    }
    expected = {(name, f"farm-say {size} {name}"): said(size, name) for name in names for size in (*SIZES[:2], 1)}
    assert printed == expected
    values = lab.state.attributes
    assert {name: values[f"{name}/m::c/value"] for name in names} == {name: said(SIZES[2], name) for name in names}


def test_one_in_ten_that_is_dead_holds_up_nobody_and_is_named_in_the_stated_time(lab: Lab, hosts: Farm) -> None:
    count = 300 if IS_LONG else 30
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    kinds = (hosts.silent, closed, hosts.flooding)
    ports = {
        f"n{number}": kinds[number // 10 % 3] if number % 10 == 0 else hosts.port for number in range(1, count + 1)
    }
    put_nodes(lab, ports)
    target = {"name": "local", "type": "local", "connect_timeout": CONNECT_SECONDS}
    began = time.monotonic()
    started = lab.start(stage(1, *(action(name, "m::c", run(f"farm-say 9 {name}")) for name in ports)), target=target)
    started.process.wait(timeout=900)
    result = lab.result(started)
    ended = {event["node"]: event for event in result.of("step.finished")}
    assert {name for name, event in ended.items() if event["status"] == "succeeded"} == {
        name for name, port in ports.items() if port == hosts.port
    }
    for name, port in ports.items():
        if port != hosts.port:
            assert (
                f"no SSH connection to 127.0.0.1:{port} within {CONNECT_SECONDS} s" in ended[name]["error"]["message"]
            )
    longest = max(event["seconds"] for event in ended.values())
    assert longest < CONNECT_SECONDS + 60
    assert time.monotonic() - began < CONNECT_SECONDS + 240


def mixed(home: Path, count: int) -> list[dict[str, Any]]:
    """Return ``count`` operations: folders, uploaded files, lines in files and commands, in turn."""
    kinds = (
        lambda at: operation("files.directory", {"path": str(home / f"folder{at}")}),
        lambda at: operation("files.put", {"src": "sent", "dest": str(home / f"file{at}")}),
        lambda at: operation("files.line", {"path": str(home / f"lines{at}"), "line": "text"}),
        lambda at: run("true"),
    )
    return [kinds[at % 4](at) for at in range(count)]


@pytest.mark.parametrize(("count", "first", "second"), [(4, 5, 2), (10, 11, 3)])
def test_connections_and_channels_of_a_host_are_these(lab: Lab, count: int, first: int, second: int) -> None:
    server = lab.add_node("n1")
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "sent").write_text("sent\n")
    files = {"sent": hashlib.sha256(b"sent\n").hexdigest()}
    opened = []
    for _ in range(2):
        server.logins = server.channels = 0
        one = action("n1", "m::c", *mixed(server.home, count), files=files)
        result = lab.apply(stage(1, one), modules={"test/mod": module})
        assert result.exit_code == 0, result.of("step.finished")
        opened.append((server.logins, server.channels))
    assert opened == [(1, first), (1, second)]

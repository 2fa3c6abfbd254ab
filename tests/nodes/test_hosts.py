"""Tests of the target hosts: which host a node claims, and that the host itself is not changed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.hosts.description import HOSTS
from dtk.nodes.hosts.provider import HostsProvider, read_hosts
from dtk.nodes.provider import NodeRecord, NodeRequest, ServiceIdentity
from dtk.nodes.targets import provider_for
from dtk.state.workspace import Workspace
from tests.nodes.clients import output
from tests.nodes.service import Service

Reported = dict[str, NodeRecord | DtkError]


@pytest.fixture
def port() -> Iterator[int]:
    """Yield a local port that sends an SSH greeting."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"SSH-2.0-test\r\n")

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def rack(hosts: Mapping[str, Any], **settings: Any) -> Target:
    return Target("rack", HOSTS, {"type": "hosts", "connect_timeout": 1, "hosts": hosts, **settings})


def identity(workspace: Workspace, service: str = "dask1") -> ServiceIdentity:
    return ServiceIdentity(service, f"lineage-of-{service}", workspace.service_folder(service))


def create(workspace: Workspace, target: Target, *nodes: str, service: str = "dask1") -> Reported:
    reported: Reported = {}
    requests = [NodeRequest(node) for node in nodes]
    provider_for(target, workspace).create(identity(workspace, service), requests, reported.__setitem__)
    return reported


def hosts_of(reported: Reported) -> dict[str, str]:
    return {node: result.id for node, result in reported.items() if isinstance(result, NodeRecord)}


def test_nodes_claim_hosts_in_order_and_find_their_claims_again(workspace: Workspace, port: int) -> None:
    target = rack({name: {"address": "127.0.0.1", "port": port} for name in ("zeta", "alpha", "beta")})
    first = create(workspace, target, "master", "slaves:1")
    assert hosts_of(first) == {"master": "zeta", "slaves:1": "alpha"}
    master = first["master"]
    assert isinstance(master, NodeRecord)
    assert create(workspace, target, "slaves:1", "slaves:2", "master") == {
        **first,
        "slaves:2": NodeRecord(
            "slaves:2",
            "beta",
            "running",
            master.connection,
            master.attributes,
        ),
    }


def test_a_host_kept_for_a_node_or_group_serves_no_other_and_is_taken_first(workspace: Workspace, port: int) -> None:
    here = {"address": "127.0.0.1", "port": port}
    target = rack({"any": here, "first": {**here, "nodes": ["master"]}, "second": {**here, "nodes": ["slaves"]}})
    reported = create(workspace, target, "master", "slaves:1", "slaves:2", "slaves:3")
    assert hosts_of(reported) == {"master": "first", "slaves:1": "second", "slaves:2": "any"}
    message = str(reported["slaves:3"])
    assert "0 free, 2 claimed" in message
    assert "'second' by dask1/slaves:1" in message


def test_another_service_does_not_get_a_claimed_host_until_it_is_released(workspace: Workspace, port: int) -> None:
    target = rack({"alpha": {"address": "127.0.0.1", "port": port}})
    mine = create(workspace, target, "master")
    assert "'alpha' by dask1/master" in str(create(workspace, target, "master", service="dask2")["master"])
    record = mine["master"]
    assert isinstance(record, NodeRecord)
    provider = provider_for(target, workspace)
    ended: Reported = {}
    for _ in range(2):
        provider.terminate(identity(workspace), [record], ended.__setitem__)
    assert ended["master"].status == "terminated"  # type: ignore[union-attr]
    assert [found.status for found in provider.describe(identity(workspace), [record])] == ["terminated"]
    assert hosts_of(create(workspace, target, "master", service="dask2")) == {"master": "alpha"}


def test_a_host_that_cannot_be_reached_fails_its_node_alone_and_is_free_again(workspace: Workspace, port: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = unused.getsockname()[1]
        hosts = {"dead": {"address": "127.0.0.1", "port": dead}, "live": {"address": "127.0.0.1", "port": port}}
        reported = create(workspace, rack(hosts), "slaves:1", "slaves:2")
    assert hosts_of(reported) == {"slaves:2": "live"}
    assert f"127.0.0.1:{dead}" in str(reported["slaves:1"])
    assert "0 free" not in str(create(workspace, rack(hosts), "slaves:3")["slaves:3"])


def test_a_host_to_which_there_is_a_connection_is_not_connected_to_again(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = listening.getsockname()[1]
    target, reported = rack({"alpha": {"address": "127.0.0.1", "port": closed}}), Reported()
    provider = provider_for(target, workspace)
    provider.rely_on(lambda connection: connection.port == closed)
    provider.create(identity(workspace), [NodeRequest("master")], reported.__setitem__)
    assert hosts_of(reported) == {"master": "alpha"}


def test_what_is_no_ssh_server_is_refused(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        answer = threading.Thread(target=lambda: listening.accept()[0].sendall(b"HTTP/1.1 400\r\n"))
        answer.start()
        target = rack({"web": {"address": "127.0.0.1", "port": listening.getsockname()[1]}}, connect_timeout=0)
        reported = create(workspace, target, "master")
        answer.join()
    assert "is not an SSH server" in str(reported["master"])


def test_a_host_that_accepts_and_says_nothing_fails_its_node_in_the_stated_time(workspace: Workspace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reported = create(
            workspace, rack({"mute": {"address": "127.0.0.1", "port": silent.getsockname()[1]}}), "master"
        )
    failed = reported["master"]
    assert isinstance(failed, DtkError)
    assert "after 1 s: timed out" in failed.message


def test_dtk_does_not_power_hosts(workspace: Workspace, port: int) -> None:
    target = rack({"alpha": {"address": "127.0.0.1", "port": port}})
    record = create(workspace, target, "master")["master"]
    assert isinstance(record, NodeRecord)
    provider = provider_for(target, workspace)
    for power in (provider.stop, provider.start):
        reported: Reported = {}
        power(identity(workspace), [record], reported.__setitem__)
        assert str(reported["master"]) == "dtk does not power hosts of target 'rack' on or off"


def test_a_hosts_own_settings_win_and_key_paths_start_at_the_workspace(workspace: Workspace, port: int) -> None:
    hosts = {
        "alpha": {"address": "127.0.0.1", "port": port, "user": "root", "key": "/keys/alpha"},
        "beta": {"address": "10.9.9.9", "jump": f"ops@127.0.0.1:{port}"},
    }
    reported = create(workspace, rack(hosts, user="admin", key="keys/rack"), "master", "slaves:1")
    alpha, beta = (reported[node].connection for node in ("master", "slaves:1"))  # type: ignore[union-attr]
    assert (alpha.user, alpha.key, alpha.jump) == ("root", "/keys/alpha", "")
    assert (beta.user, beta.key) == ("admin", str(workspace.root / "keys/rack"))
    assert (beta.hostname, beta.port, beta.jump) == ("10.9.9.9", 22, f"ops@127.0.0.1:{port}")
    assert beta.host_key == ""


def test_a_host_behind_a_program_is_not_asked_from_here_and_its_own_way_wins(workspace: Workspace) -> None:
    hosts = {
        "alpha": {"address": "web.internal", "port": 2222},
        "beta": {"address": "10.9.9.9", "jump": "ops@192.0.2.1"},
    }
    target = rack(hosts, user="ops", proxy_command="tsh proxy ssh --name={id} {user}@{address}:{port}")
    reported = create(workspace, target, "master")
    alpha = reported["master"]
    assert isinstance(alpha, NodeRecord)
    assert alpha.connection.proxy_command == "tsh proxy ssh --name=alpha ops@web.internal:2222"
    assert [one.status for one in provider_for(target, workspace).describe(identity(workspace), [alpha])] == ["running"]
    beta = read_hosts(target, workspace)["beta"].connection
    assert (beta.proxy_command, beta.jump) == ("", "ops@192.0.2.1")


def test_a_host_that_went_away_shows_as_stopped(workspace: Workspace, port: int) -> None:
    target = rack({"alpha": {"address": "127.0.0.1", "port": port}})
    record = create(workspace, target, "master")["master"]
    assert isinstance(record, NodeRecord)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        moved = rack({"alpha": {"address": "127.0.0.1", "port": unused.getsockname()[1]}})
        for now, status in ((target, "running"), (moved, "stopped"), (rack({}), "terminated")):
            found = HostsProvider(workspace, now).describe(identity(workspace), [record])
            assert [found_record.status for found_record in found] == [status]


def test_a_real_ssh_server_can_be_a_host_and_lives_on(service: Service) -> None:
    (machine,) = service.create("master")
    connection = machine.connection
    host = {"address": connection.hostname, "port": connection.port, "user": connection.user, "key": connection.key}
    target = rack({"alpha": host})
    record = create(service.workspace, target, "master", service="dask2")["master"]
    assert isinstance(record, NodeRecord)
    assert record.attributes["host_address"] == connection.hostname
    provider_for(target, service.workspace).terminate(identity(service.workspace, "dask2"), [record], lambda *_: None)
    assert output(machine, "echo up") == "up"

"""Tests of the lifecycle of local nodes: create, stop, start and terminate, also after interruptions."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from dtk.errors import DtkError
from dtk.nodes.local.environment import MARKER
from dtk.nodes.local.processes import find
from dtk.nodes.local.registry import read_allocations
from dtk.nodes.provider import Connection, NodeRecord, NodeRequest
from tests.nodes.clients import output
from tests.nodes.service import Service
from tests.support.waiting import eventually

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a server adopt its node's orphans")
WRITTEN = "until test -s {0}.pid; do sleep 0.05; done"
DAEMON = (
    "rm -f daemon.pid; setsid sh -c 'sleep 601 & echo $! > daemon.pid; exec sleep 602' >/dev/null 2>&1 </dev/null & "
    + WRITTEN.format("daemon")
)
STUBBORN = (
    "setsid sh -c 'trap \"\" TERM; echo $$ > stubborn.pid; while :; do sleep 0.1; done' >/dev/null 2>&1 </dev/null &"
)
NAMELESS = (
    f"env -u {MARKER} setsid sh -c 'echo $$ > nameless.pid; exec sleep 603' >/dev/null 2>&1 </dev/null & "
    + WRITTEN.format("nameless")
)


def server_of(service: Service, node: str) -> psutil.Process:
    (server,) = find({service.marker(node)})[service.marker(node)].servers
    return server


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def processes_of(service: Service) -> list[int]:
    """Return the live processes of this service, found by its lineage without dtk's own search."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get(MARKER, "")]
            if process.status() != psutil.STATUS_ZOMBIE and any(service.identity.lineage in word for word in words):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_nodes_come_up_together_each_reported_with_an_address_of_its_own(service: Service) -> None:
    records = service.create("master", "slaves:1", "slaves:2")
    assert {record.status for record in records} == {"running"}
    assert len({record.connection.hostname for record in records}) == 3
    assert len({record.connection.port for record in records}) == 1
    assert service.status(*records) == ["running"] * 3
    assert [output(record, "echo $DTK_NODE") for record in records] == [
        service.marker(node) for node in ("master", "slaves:1", "slaves:2")
    ]


def test_nodes_outlive_the_process_that_made_them(service: Service) -> None:
    script = (
        "import sys; from pathlib import Path; from dtk.nodes.local.provider import *\n"
        "provider = LocalProvider(Workspace(Path(sys.argv[1])))\n"
        "identity = ServiceIdentity('dask1', sys.argv[2], provider._workspace.service_folder('dask1'))\n"
        "provider.create(identity, [NodeRequest('master')], lambda node, result: print(result.status))\n"
    )
    command = [sys.executable, "-c", script, str(service.workspace.root), service.identity.lineage]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "running\n"
    (record,) = service.create("master")
    assert output(record, "echo up") == "up"


def test_a_worker_patched_by_gevent_drives_nodes_all_their_life(service: Service) -> None:
    script = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import sys; from pathlib import Path; from dtk.nodes.local.provider import *\n"
        "provider = LocalProvider(Workspace(Path(sys.argv[1])))\n"
        "identity = ServiceIdentity('dask1', sys.argv[2], provider._workspace.service_folder('dask1'))\n"
        "records = {}\n"
        "provider.create(identity, [NodeRequest('master'), NodeRequest('slaves:1')], records.__setitem__)\n"
        "for step in (provider.stop, provider.start, provider.terminate):\n"
        "    step(identity, list(records.values()), records.__setitem__)\n"
        "    print(*(record.status for record in records.values()))\n"
    )
    command = [sys.executable, "-c", script, str(service.workspace.root), service.identity.lineage]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.splitlines() == ["stopped stopped", "running running", "terminated terminated"], done.stderr
    assert done.stderr == ""


def test_creating_again_finds_the_node(service: Service) -> None:
    (first,) = service.create("master")
    server = server_of(service, "master")
    (second,) = service.create("master")
    assert (second, server_of(service, "master")) == (first, server)


def test_a_creation_cut_short_is_found_by_the_next_and_ended_without_a_record(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("dtk.nodes.local.provider.switch_on", cut)
        with pytest.raises(SystemExit):
            service.create("master")
    begun = read_allocations(service.workspace)[service.marker("master")]
    (record,) = service.create("master")
    assert (record.connection.hostname, record.attributes["home"]) == (begun.address, begun.home)
    service.terminate(NodeRecord("master", "", "pending", Connection("")))
    assert processes_of(service) == []
    assert not Path(begun.home).exists()


def test_a_stopped_node_has_no_process_and_keeps_its_disk(service: Service) -> None:
    (record,) = service.create("master")
    output(record, "echo kept > file")
    output(record, DAEMON)
    service.stop(record)
    assert (service.record("master").status, service.status(record)) == ("stopped", ["stopped"])
    assert processes_of(service) == []
    (again,) = service.start(record)
    assert again == record
    assert output(again, "cat file") == "kept"


def test_stop_and_start_again_change_nothing_more(service: Service) -> None:
    (record,) = service.create("master")
    service.stop(record)
    service.stop(record)
    assert service.start(record) == service.start(record) == [record]


@ON_LINUX
def test_stop_ends_daemons_that_ignore_it_or_hide_their_node(service: Service) -> None:
    (record,) = service.create("master")
    for command in (DAEMON, STUBBORN, NAMELESS):
        output(record, command)
    output(record, WRITTEN.format("stubborn"))
    pids = [int(output(record, f"cat {name}.pid")) for name in ("daemon", "stubborn", "nameless")]
    service.stop(record)
    assert [pid for pid in pids if is_alive(pid)] == []


def test_a_killed_server_shows_as_stopped_and_leaves_nothing_when_it_is_stopped(service: Service) -> None:
    (record,) = service.create("master")
    output(record, DAEMON)
    server_of(service, "master").kill()
    eventually(lambda: service.status(record) == ["stopped"], "the killed server is gone")
    assert processes_of(service) != []
    service.stop(record)
    assert processes_of(service) == []


def test_starting_a_node_whose_server_was_killed_ends_what_it_left(service: Service) -> None:
    (record,) = service.create("master")
    output(record, DAEMON)
    daemon = int(output(record, "cat daemon.pid"))
    server_of(service, "master").kill()
    service.start(record)
    assert not is_alive(daemon)


def test_a_server_that_an_interrupted_stop_left_frozen_comes_back(service: Service) -> None:
    (record,) = service.create("master")
    os.kill(server_of(service, "master").pid, signal.SIGSTOP)
    while server_of(service, "master").status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    assert service.status(record) == ["stopped"]
    (again,) = service.create("master")
    assert output(again, "echo up") == "up"


def test_a_terminated_node_leaves_no_process_and_no_file(service: Service) -> None:
    records = service.create("master", "slaves:1")
    output(records[0], f"{DAEMON}; mkdir -p deep/er; touch deep/er/file; chmod 500 deep/er")
    service.terminate(*records)
    assert service.status(*records) == ["terminated"] * 2
    assert processes_of(service) == []
    assert not any(Path(str(record.attributes["home"])).exists() for record in records)
    assert not Path("/var/lib/dtk/nodes", service.identity.lineage).exists()
    assert list(service.identity.folder.iterdir()) == []
    assert read_allocations(service.workspace) == {}


def test_terminating_again_and_what_never_was_is_fine(service: Service) -> None:
    (record,) = service.create("master")
    service.terminate(record)
    service.terminate(record)
    assert service.record("master").status == "terminated"


def test_ending_one_node_leaves_the_others(service: Service) -> None:
    first, second = service.create("slaves:1", "slaves:11")
    service.terminate(first)
    assert output(second, "echo up") == "up"


def test_starting_a_node_that_is_gone_says_so(service: Service) -> None:
    (record,) = service.create("master")
    service.terminate(record)
    service.provider.start(service.identity, [record], service.report)
    assert "no longer exists" in str(service.reported["master"])


def test_a_node_whose_address_was_taken_while_it_was_off_gets_another(service: Service) -> None:
    (record,) = service.create("master")
    service.stop(record)
    with socket.create_server((record.connection.hostname, record.connection.port)):
        (again,) = service.start(record)
    assert again.connection.hostname != record.connection.hostname
    assert again.attributes["host_address"] == again.connection.hostname
    assert output(again, "echo up") == "up"


def test_a_node_that_is_off_keeps_its_address_whatever_other_workspaces_make(
    new_service: Callable[..., Service],
) -> None:
    first, second = new_service("a"), new_service("b")
    # The search for a free address starts at the same address for both services.
    begins = zlib.crc32(first.identity.lineage.encode()) % 254
    lineage = next(text for text in map(str, itertools.count()) if zlib.crc32(text.encode()) % 254 == begins)
    second.identity = replace(second.identity, lineage=lineage)
    records = first.create("one", "two")
    first.stop(records[1])
    made = second.create("three", "four")
    assert first.start(records[1]) == [records[1]]
    addresses = {record.connection.hostname for record in (*records, *made)}
    assert len(addresses) == 4


def test_a_node_that_cannot_start_fails_with_its_log_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such luck >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("dtk.nodes.local.machine.sys.executable", str(broken))
    service.provider.create(service.identity, [NodeRequest("master")], service.report)
    assert isinstance(service.reported["master"], DtkError)
    assert "no such luck" in str(service.reported["master"])
    assert read_allocations(service.workspace) == {}


def test_processes_and_workspaces_that_create_at_the_same_time_never_share_an_address(
    new_service: Callable[..., Service],
) -> None:
    # Use almost the same lineage in two workspaces, to make them compete for the same addresses.
    services = [new_service(workspace, name) for workspace, name in (("a", "one"), ("a", "two"), ("b", "one"))]
    services[2].identity = type(services[2].identity)(
        "one", services[0].identity.lineage[:-1] + "x", services[2].identity.folder
    )
    script = (
        "import sys; from pathlib import Path; from dtk.nodes.local.provider import *\n"
        "root, name, lineage = sys.argv[1:]\n"
        "provider = LocalProvider(Workspace(Path(root)))\n"
        "identity = ServiceIdentity(name, lineage, provider._workspace.service_folder(name))\n"
        "requests = [NodeRequest(f'n:{number}') for number in (1, 2, 3)]\n"
        "provider.create(identity, requests, lambda node, result: print(result.connection.hostname))\n"
    )
    makers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                script,
                str(service.workspace.root),
                service.identity.service,
                service.identity.lineage,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for service in services
    ]
    addresses = [line for maker in makers for line in maker.communicate()[0].split()]
    assert len(addresses) == len(set(addresses)) == 9


def test_where_addresses_are_shared_nodes_differ_by_port_and_modules_can_tell(
    new_service: Callable[..., Service],
) -> None:
    one, two = (new_service(name=name, shared_address=True) for name in ("one", "two"))
    records = [*one.create("master", "slaves:1"), *two.create("master")]
    assert {record.connection.hostname for record in records} == {"127.0.0.1"}
    offsets = [int(str(record.attributes["port_offset"])) for record in records]
    assert len(set(offsets)) == 3
    assert all(offset % 100 == 0 for offset in offsets)
    assert [record.connection.port - offset for record, offset in zip(records, offsets, strict=True)] == [2222] * 3
    assert all(record.attributes["shared_address"] for record in records)
    one.stop(records[0])
    assert one.start(records[0]) == [records[0]]
    assert output(records[2], "echo $DTK_NODE") == two.marker("master")


def test_a_workspace_below_a_path_with_a_colon_is_refused(new_service: Callable[..., Service]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root's nodes stand elsewhere")
    service = new_service("work:space")
    service.provider.create(service.identity, [NodeRequest("master")], service.report)
    assert "colon" in str(service.reported["master"])

"""The original's ``utils``: logs, processes and ports of nodes, whose output is untrusted."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.support.command_line import Dtk
from tests.support.waiting import eventually, limited

HOSTILE = "\x1b]0;title\x07\x1b[2J"


@pytest.fixture
def ring(dtk: Dtk, module: Path) -> Dtk:
    """Deploy a cluster whose members write a log."""
    file = module / "dtk.module.yaml"
    text = file.read_text().replace(
        "      work: {type: string, default: 'true'}",
        "      work: {type: string, default: 'true'}\n      log: {type: log_file, dynamic: true}",
    )
    member = "          - RUN sh -c {{ work }}\n"
    file.write_text(text.replace(member, f"{member}        outputs:\n          log: '{{{{ node.home }}}}/a log'\n"))
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    for index, node in enumerate(dtk.json("list-nodes", "ring1")):
        log = Path(node["attributes"]["home"]) / "a log"
        log.write_text(f"first\n{HOSTILE}line {index}\n$(touch {log.parent}/run) 'x\n")
    return dtk


def test_logs_of_many_nodes_are_shown_together_and_searched(ring: Dtk) -> None:
    shown = ring.run("logs", "ring1", "--lines", "2").stdout.splitlines()
    assert sorted(line for line in shown if "line" in line) == ["slaves:1 | line 1", "slaves:2 | line 2"]
    assert not any("first" in line for line in shown)
    assert ring.run("logs", "ring1", "slaves:2", "log").stdout.startswith("first\nline 2\n"), "one node, no prefix"
    assert ring.run("tail", "ring1", "ring::member/log", "slaves:1").stdout.startswith("first\n")
    found = ring.run("grep", "ring1", "log", "slaves", "line 2")
    assert found.stdout == "slaves:2 | line 2\n"
    home = Path(ring.json("list-nodes", "ring1")[1]["attributes"]["home"])
    pattern = f"$(touch {home}/run) 'x"
    assert ring.run("grep", "ring1", "log", "slaves:1", pattern).stdout == f"{pattern}\n"
    assert not (home / "run").exists(), "a pattern reaches no shell"
    # An option of grep that no path in the log contains: a UUID may have "-e".
    ring.run("grep", "ring1", "log", "all", "--", "-x", code=1)
    refused = ring.run("logs", "ring1", "master", code=2).stderr
    assert "no component there has an attribute of type log_file" in refused
    assert "next: name a file: dtk logs ring1 master /var/log/syslog" in refused
    assert "no node 'slave' exists in service 'ring1'" in ring.run("logs", "ring1", "slave", code=2).stderr
    assert "line 0\n" in ring.run("tail", "ring1", f"{home.parent}/master/a log", "master").stdout


def test_followed_logs_end_with_their_reader_and_leave_nothing_on_the_nodes(ring: Dtk) -> None:
    homes = {node["node"]: Path(node["attributes"]["home"]) for node in ring.json("list-nodes", "ring1")}
    # With the last line: it shows that tail has come to the end, and will see what is added.
    for home in homes.values():
        (home / "a log").write_text("begun\n")
    process = ring.start("logs", "ring1", "slaves", "-f", "--lines", "1")

    def tails() -> list[psutil.Process]:
        found = [one for one in psutil.process_iter(["cmdline"]) if "tail" in (one.info["cmdline"] or [""])[0]]
        return [one for one in found if any(str(home) in " ".join(one.info["cmdline"]) for home in homes.values())]

    with limited(process):
        assert process.stdout
        assert {process.stdout.readline(), process.stdout.readline()} == {"slaves:1 | begun\n", "slaves:2 | begun\n"}
        assert len(tails()) >= 2, "both logs are followed"
        for node in ("slaves:1", "slaves:2"):
            with (homes[node] / "a log").open("a") as log:
                log.write(f"more of {node}\n")
        assert {process.stdout.readline(), process.stdout.readline()} == {
            "slaves:1 | more of slaves:1\n",
            "slaves:2 | more of slaves:2\n",
        }
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    eventually(lambda: not tails(), "nothing follows the logs any more")


def test_processes_and_ports_of_nodes_are_listed(ring: Dtk) -> None:
    header, *processes = ring.run("ps", "ring1", "master").stdout.splitlines()
    assert header.split()[:2] == ["UID", "PID"]
    assert not [line for line in processes if line.split()[-1].startswith("[k")], "the kernel's threads are left out"
    shown = ring.run("get-ps", "ring1", "--filter", "--filter").stdout.splitlines()
    assert {line.partition(" ")[0] for line in shown} == {"master", "slaves:1", "slaves:2"}
    assert all("--filter" in line for line in shown)
    assert "Local Address" in ring.run("netstat", "ring1", "master").stdout


def test_the_shell_has_them_where_the_original_had_them(ring: Dtk) -> None:
    looks = "cd service/ring1/utils; grep log all 'line [12]'; cd ../slaves:2; logs log --lines 2"
    sets = "cd ../master; set-attribute ring::hub/greeting=a ring::hub/port=7401"
    done = ring.run("shell", "-c", f"{looks}; {sets}")
    found = [line for line in done.stdout.splitlines() if " | line" in line]
    assert sorted(found) == ["slaves:1 | line 1", "slaves:2 | line 2"]
    assert "\nline 2\n" in done.stdout
    written = (ring.root / "services/ring1/service.yaml").read_text()
    assert "  master/ring::hub/greeting: a\n  master/ring::hub/port: 7401\n" in written
    assert "tail" in ring.run("shell", "-c", "cd service/ring1/utils; help").stdout

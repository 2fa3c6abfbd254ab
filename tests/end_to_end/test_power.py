"""Nodes are stopped and started by tasks of their own; changes that they missed are applied when they run again."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.support.terminal import at_a_terminal

pytestmark = pytest.mark.usefixtures("module")


def states(dtk: Dtk) -> dict[str, str]:
    return {node["node"]: node["status"] for node in dtk.json("list-nodes", "ring1")}


def test_nodes_are_stopped_and_started_by_name_by_group_and_all(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    shown = dtk.run("stop", "ring1", "slaves:2").stdout
    assert "STAGE 1: power_off_node\n" in shown
    assert states(dtk) == {"master": "running", "slaves:1": "running", "slaves:2": "stopped"}
    dtk.run("stop", "ring1", "slaves")
    assert states(dtk)["slaves:1"] == "stopped"
    assert "power_on_nodes_stage" in dtk.run("start", "ring1").stdout
    assert set(states(dtk).values()) == {"running"}
    assert "Nothing to do" in dtk.run("start", "ring1").stdout
    assert "did you mean 'slaves'" in dtk.run("stop", "ring1", "slave", code=2).stderr


def test_converging_a_stopped_service_powers_it_on_first(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("stop", "ring1")
    assert "| stopped |" in dtk.run("ls").stdout
    assert "STAGE 1: power_on_nodes_stage" in dtk.run("converge", "ring1").stdout
    assert set(states(dtk).values()) == {"running"}


def test_at_a_terminal_converging_a_stopped_service_asks_first(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("stop", "ring1")
    shown = at_a_terminal(dtk, "converge", "ring1", answer="no")
    assert "Workspace service is stopped, do you want to start it? (yes|no)" in shown
    assert "Nothing was done." in shown
    assert set(states(dtk).values()) == {"stopped"}
    assert "Status: OK" in at_a_terminal(dtk, "converge", "ring1", answer="yes")
    assert set(states(dtk).values()) == {"running"}


def test_stopping_and_starting_keeps_what_is_left_to_resume(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/ring::member/work=exit 7", code=1)
    dtk.run("stop", "ring1")
    dtk.run("start", "ring1")
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "true")
    dtk.run("apply", "ring1", "--resume", "--yes")


def test_what_stands_behind_a_node_belongs_to_the_command_that_runs_there(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    done = dtk.run("ssh", "ring1", "slaves:1", "sh", "-c", "'echo -l $0'", "-i")
    assert done.stdout == "-l -i\n"
    assert "usage: dtk" not in done.stderr.lower()
    assert "Permission denied" in dtk.run("ssh", "-l", "stranger", "ring1", "slaves:1", "true", code=255).stderr
    assert "Permission denied" in dtk.run("ssh", "ring1", "stranger@slaves:1", "true", code=255).stderr
    assert "does not exist" in dtk.run("ssh", "-i", "no-such-key", "ring1", "slaves:1", "true", code=2).stderr


def test_a_command_runs_on_all_members_of_a_group_with_the_worst_exit_code(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    command = "echo at $(basename $HOME); echo oops >&2; test $(basename $HOME) = slaves.1 || exit 3"
    done = dtk.run("ssh", "ring1", "slaves", "--", command, code=3)
    assert sorted(done.stdout.splitlines()) == ["slaves:1 | at slaves.1", "slaves:2 | at slaves.2"]
    assert sorted(done.stderr.splitlines()) == ["slaves:1 ! oops", "slaves:2 ! oops"]
    assert "dtk ssh ring1 slaves:1" in dtk.run("ssh", "ring1", "slaves", code=2).stderr
    dtk.run("stop", "ring1", "slaves:2")
    one = dtk.run("ssh", "ring1", "slaves", "true")
    assert "skipped slaves:2: it is stopped; next: dtk start ring1 slaves" in one.stderr


def test_a_command_is_run_on_a_node_with_its_exit_code(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    done = dtk.run("ssh", "ring1", "slaves:1", "--", "basename $HOME; exit 3", code=3)
    assert done.stdout == "slaves.1\n"
    assert "no node 'slaves:9' exists in service 'ring1'" in dtk.run("ssh", "ring1", "slaves:9", code=2).stderr
    # A user logs in to fix something while service.yaml is half edited.
    file = dtk.root / "services" / "ring1" / "service.yaml"
    before = file.read_text()
    file.write_text(f"{before}nonsense: [\n")
    done = dtk.run("ssh", "ring1", "slaves:1", "--", "basename $HOME")
    assert done.stdout == "slaves.1\n"
    assert "Logging in as before: " in done.stderr
    file.write_text(before)
    dtk.run("stop", "ring1", "slaves:1")
    assert "dtk start ring1 slaves:1" in dtk.run("ssh", "ring1", "slaves:1", "--", "true", code=1).stderr


def test_nodes_that_a_reboot_has_switched_off_are_told_at_once_and_started(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    lineage = Path(dtk.json("list-nodes", "ring1")[0]["attributes"]["home"]).parent.name
    servers = [one for one in psutil.process_iter(["cmdline"]) if f" {lineage}/" in " ".join(one.info["cmdline"] or ())]
    assert len(servers) == 3
    for process in servers:
        process.kill()
    psutil.wait_procs(servers, timeout=30)
    refused = dtk.run("converge", "ring1", code=1).stdout
    assert "node 'master' is off: its processes have ended, as they do when this machine reboots" in refused
    assert "dtk start ring1 master" in refused
    assert "power_on_node" in dtk.run("start", "ring1").stdout
    dtk.run("converge", "ring1")


@pytest.mark.parametrize("fault", ["missing", "invalid"])
def test_nodes_are_stopped_started_and_ended_without_their_module(dtk: Dtk, module: Path, fault: str) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    if fault == "missing":
        shutil.rmtree(module)
    else:
        (module / "dtk.module.yaml").write_text("dsl_version: 1.0.0\nmodule: acme/ring\nunknown: 1\n")
    for verb, status in (("stop", "stopped"), ("start", "running")):
        assert "its machines are" in dtk.run(verb, "ring1").stderr
        assert set(states(dtk).values()) == {status}
    refused = dtk.run("delete-and-destroy", "ring1", "--yes", code=3).stderr
    assert "next: to terminate its nodes without running delete actions: " in refused
    assert "dtk delete-and-destroy ring1 --force" in refused
    dtk.run("delete-and-destroy", "ring1", "--yes", "--force")
    assert dtk.json("ls") == []


@pytest.mark.parametrize(
    ("file", "text", "mistake"),
    [
        ("services/ring1/service.yaml", "unknown: 1\n", "services/ring1/service.yaml:"),
        ("dtk.yaml", "targets:\n  other: {type: hosts, unknown: 1}\n", "dtk.yaml:"),
    ],
)
def test_nodes_are_stopped_started_and_ended_while_a_file_is_invalid(
    dtk: Dtk, file: str, text: str, mistake: str
) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    (dtk.root / file).write_text((dtk.root / file).read_text() + text)
    for verb, status in (("stop", "stopped"), ("start", "running")):
        warning = dtk.run(verb, "ring1").stderr
        assert "its machines are" in warning
        assert mistake in warning
        assert recorded(dtk) == {status}
    refused = dtk.run("delete-and-destroy", "ring1", "--yes", code=3).stderr
    assert mistake in refused
    assert "dtk delete-and-destroy ring1 --force" in refused
    assert mistake in dtk.run("delete-and-destroy", "ring1", "--yes", "--force").stderr
    assert not (dtk.root / "services/ring1").exists()
    assert not (dtk.root / ".dtk/services/ring1/state.json").exists()


def test_nodes_are_stopped_and_started_while_service_yaml_is_missing(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    shutil.rmtree(dtk.root / "services/ring1")
    for verb, status in (("stop", "stopped"), ("start", "running")):
        assert "services/ring1/service.yaml" in dtk.run(verb, "ring1").stderr
        assert recorded(dtk) == {status}
    dtk.run("delete-and-destroy", "ring1", "--yes", "--force")
    assert "no service 'ring1'" in dtk.run("stop", "ring1", code=2).stderr


def recorded(dtk: Dtk) -> set[str]:
    """Return the statuses of ring1's nodes in the state, without reading the service's files."""
    state = load_state(Workspace(dtk.root).state_file("ring1"))
    assert state is not None
    return {node.status for node in state.nodes.values()}

"""The target ``hosts``: existing machines, reached over SSH with a pinned key, one of them through a jump host.

The machines are local nodes of another workspace. dtk knows only their address, port, user and key.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dtk.nodes.keys import ensure_key
from tests.support.command_line import Dtk

MODULE = (Path(__file__).parent / "ring.module.yaml").read_text()


def with_module(root: Path) -> Dtk:
    root.mkdir()
    dtk = Dtk(root)
    dtk.run("init")
    folder = root / "modules/acme/ring"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE)
    return dtk


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[dict[str, Any]]]:
    """Start four machines; return their entries in dtk.yaml."""
    lab = with_module(tmp_path / "lab")
    lab.run("deploy", "acme:ring/cluster", "lab", "--set", "slaves/cardinality=3")
    yield [node["connection"] for node in lab.json("list-nodes", "lab")]
    lab.run("delete-and-destroy", "lab", "--yes", "--force")


@pytest.fixture
def dtk(tmp_path: Path, machines: list[dict[str, Any]]) -> Iterator[Dtk]:
    dtk = with_module(tmp_path / "workspace")
    names = ("alpha", "beta", "gamma", "delta")
    hosts = {
        name: {"address": machine["hostname"], "port": machine["port"]}
        for name, machine in zip(names, machines, strict=True)
    }
    hosts["beta"]["nodes"] = ["master"]
    jump = machines[0]
    hosts["gamma"]["jump"] = f"{jump['user']}@{jump['hostname']}:{jump['port']}"
    rack = {
        "type": "hosts",
        "user": machines[0]["user"],
        "key": machines[0]["key"],
        "hosts": hosts,
        "connect_timeout": 60,  # a limit, not a wait: a busy machine needs seconds for a connection through another
    }
    document = {"format_version": 1, "default_target": "rack", "targets": {"rack": rack}}
    (dtk.root / "dtk.yaml").write_text(json.dumps(document))
    yield dtk
    for file in dtk.root.glob("services/*/service.yaml"):
        dtk.run("delete-and-destroy", file.parent.name, "--yes", "--force", code=None)


def test_a_cluster_on_hosts_lives_from_deploy_to_destroy(dtk: Dtk, machines: list[dict[str, Any]]) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    nodes = {node["node"]: node for node in dtk.json("list-nodes", "ring1")}
    assert {name: node["id"] for name, node in nodes.items()} == {
        "master": "beta",
        "slaves:1": "alpha",
        "slaves:2": "gamma",
    }
    home = Path(nodes["slaves:2"]["attributes"]["home"])
    assert (home / "hub").read_text().startswith(nodes["master"]["attributes"]["host_address"])
    pinned = (dtk.root / ".dtk/services/ring1/known_hosts").read_text()
    assert all(machine["hostname"] in pinned for machine in machines[:3])
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout
    check_edited_connection(dtk, machines)
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "4")
    too_few = dtk.run("apply", "ring1", "--yes", code=3).stderr
    assert (
        "services/ring1/service.yaml:8:3: target 'rack' has no machine left for slaves:4; expected more hosts"
        in too_few
    )
    assert "fix it: dtk set-attribute ring1 slaves/cardinality 3" in too_few
    assert [row["type"] for row in dtk.json("list-violations", "ring1")] == ["component_constraint"]
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    dtk.run("apply", "ring1", "--yes")
    dtk.run("delete-and-destroy", "ring1", "--yes")
    assert (home / "hub").exists(), "the machines are not ours to clean"


def check_edited_connection(dtk: Dtk, machines: list[dict[str, Any]]) -> None:
    """Check that edits of a host in dtk.yaml apply to its existing node at the next command of each kind."""
    file = dtk.root / "dtk.yaml"
    before = file.read_text()
    document = json.loads(before)
    document["targets"]["rack"]["hosts"]["alpha"]["user"] = "stranger"
    file.write_text(json.dumps(document))
    assert "refuses stranger" in dtk.run("converge", "ring1", "--yes", code=1).stdout
    assert "stranger" in dtk.run("ssh", "ring1", "slaves:1", "--", "true", code=255).stderr
    assert "refuses stranger" in dtk.run("plan", "ring1", "--refresh").stdout
    document = json.loads(before)
    # Another machine, behind a jump host that was not one before, so that its key is not pinned yet.
    last = machines[3]
    document["targets"]["rack"]["hosts"]["alpha"] |= {"port": last["port"], "address": last["hostname"]}
    document["targets"]["rack"]["hosts"]["alpha"]["jump"] = f"{last['user']}@{last['hostname']}:{last['port']}"
    file.write_text(json.dumps(document))
    assert dtk.run("ssh", "ring1", "slaves:1", "--", "basename $HOME").stdout == "slaves.3\n"
    check_hangup_ends_the_way_through_a_jump_host(dtk)
    file.write_text(before)
    dtk.run("converge", "ring1", "--yes")


def check_hangup_ends_the_way_through_a_jump_host(dtk: Dtk) -> None:
    """Check that a hangup ends a jump host's connection even under nohup.

    nohup ignores SIGHUP; if ssh inherited that, it would wait for its proxy forever.
    """
    program = dtk.root / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport signal\nprint(signal.getsignal(signal.SIGHUP).name)\n")
    program.chmod(0o755)
    line = 'trap "" HUP; exec "$@"'
    words = [sys.executable, "-m", "dtk", "ssh", "ring1", "slaves:1", "--", "true"]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", line, "sh", *words], cwd=dtk.root, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "SIG_DFL\n"


def test_a_host_with_another_key_than_the_pinned_one_is_refused_by_name(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    known = dtk.root / ".dtk/services/ring1/known_hosts"
    lines = known.read_text().splitlines()
    other = lines[0].split()[-1]
    known.write_text("\n".join(" ".join([*line.split()[:-1], other]) for line in lines) + "\n")
    refused = dtk.run("converge", "ring1", code=1).stdout
    assert "host key" in refused
    assert "SHA256:" in refused


def test_people_are_let_in_and_new_members_let_them_in_too(dtk: Dtk) -> None:
    alice, bob = (ensure_key(dtk.root / "keys" / name) for name in ("alice", "bob"))
    (dtk.root / "alice.pub").write_text(f"{alice} alice@laptop\n")

    def on(node: str) -> list[str]:
        return dtk.run("ssh", "ring1", node, "--", "cat .ssh/authorized_keys || true").stdout.splitlines()

    dtk.run("stage", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    dtk.run("grant-access", "ring1", "bob", f"{bob} bob's; $(key)")
    dtk.run("apply", "ring1", "--yes")
    assert on("master") == [f"{bob} bob's; $(key) dtk:team"]
    done = dtk.run("grant-access", "ring1", "alice", "alice.pub")
    assert "2 of 2 running nodes are up to date" in done.stdout
    assert on("slaves:1") == [f"{bob} bob's; $(key) dtk:team", f"{alice} alice@laptop dtk:team"]
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout
    rows = {row["name"]: row["fingerprint"] for row in dtk.json("list-ssh-access", "ring1")}
    assert rows.keys() == {"alice", "bob"}
    assert rows["alice"].startswith("SHA256:")
    assert "'carol' was not granted access" in dtk.run("revoke-access", "ring1", "carol", code=2).stderr
    dtk.run("revoke-access", "ring1", "bob")
    assert on("master") == [f"{alice} alice@laptop dtk:team"]
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "2")
    dtk.run("apply", "ring1", "--yes")
    assert on("slaves:2") == [f"{alice} alice@laptop dtk:team"]
    dtk.run("revoke-access", "ring1", "alice")
    assert on("slaves:2") == []
    assert dtk.json("list-ssh-access", "ring1") == []
    assert "is not a public key" in dtk.run("grant-access", "ring1", "eve", "dtk.yaml", code=2).stderr


def test_the_team_s_keys_are_on_the_nodes_and_those_of_who_leaves_are_taken_off(dtk: Dtk) -> None:
    alice, bob = (ensure_key(dtk.root / "keys" / name) for name in ("alice", "bob"))
    (dtk.root / "alice.pub").write_text(f"{alice} alice@laptop\n")
    document = json.loads((dtk.root / "dtk.yaml").read_text())
    rack = document["targets"]["rack"]

    def let_in(*keys: str) -> None:
        rack["authorized_keys"] = list(keys)
        (dtk.root / "dtk.yaml").write_text(json.dumps(document))

    def on_master() -> list[str]:
        return dtk.run("ssh", "ring1", "master", "--", "cat .ssh/authorized_keys").stdout.splitlines()

    let_in("alice.pub", f"{bob} bob")
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    assert on_master() == [f"{alice} alice@laptop dtk:team", f"{bob} bob dtk:team"]
    dtk.run("ssh", "ring1", "master", "--", "echo somebody-else >> .ssh/authorized_keys")
    let_in("alice.pub")
    dtk.run("converge", "ring1", "--yes")
    assert on_master() == ["somebody-else", f"{alice} alice@laptop dtk:team"]
    let_in("keys/alice")
    assert "keys/alice is not a public key" in dtk.run("converge", "ring1", "--yes", code=1).stdout
    let_in()
    dtk.run("converge", "ring1", "--yes")
    assert on_master() == ["somebody-else"]

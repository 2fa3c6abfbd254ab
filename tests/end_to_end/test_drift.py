"""Manual changes on nodes are found by ``plan --refresh`` without changing the nodes, and fixed by apply."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.end_to_end.test_identity import id_of
from tests.support.command_line import Dtk
from tests.support.processes import runs
from tests.support.waiting import eventually

HERE = Path(__file__).parent
PASSWORD = "correct-horse-battery"
SERVICE = "drift1"


@pytest.fixture
def nodes(dtk: Dtk, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Apply the module to three nodes; return their home folders."""
    monkeypatch.setenv("DRIFT_PASSWORD", PASSWORD)
    folder = dtk.root / "modules" / "acme" / "drift"
    (folder / "files").mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text((HERE / "drift.module.yaml").read_text())
    (folder / "files" / "plain").write_text("plain\n")
    (folder / "files" / "secret.j2").write_text("password={{ password }}\n")
    dtk.run("deploy", "acme:drift/one", SERVICE)
    return {node["node"]: Path(node["attributes"]["home"]) for node in dtk.json("list-nodes", SERVICE)}


def drift(dtk: Dtk) -> dict[tuple[str, str], str]:
    """Return what a refresh finds: (node and operation, text). The text names the object of the operation."""
    found = dtk.run("plan", SERVICE, "--refresh", "--json").stdout
    assert PASSWORD not in found
    document = json.loads(found)
    return {(one["node"], one.get("operation", "")): one["what"] for one in document.get("drift", [])}


def contents(folder: Path) -> dict[str, Any]:
    """Return everything observable about a folder: kinds, modes, owners, modification times and content."""
    seen: dict[str, Any] = {}
    for path in sorted([folder, *folder.rglob("*")]):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        seen[str(path)] = (about.st_mode, about.st_uid, about.st_gid, about.st_mtime_ns, about.st_ctime_ns, content)
    return seen


def temporary_files() -> set[str]:
    return {path.name for path in Path("/tmp").glob("*pyinfra*")}


def in_workspace(dtk: Dtk) -> dict[str, bytes]:
    """Return the workspace's files, without locks (a refresh takes one) and nodes' own files (compared separately)."""
    paths = [path for path in dtk.root.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path): path.read_bytes() for path in paths if "nodes" not in path.relative_to(dtk.root).parts}


def daemons(dtk: Dtk) -> list[int]:
    """Return the daemons of this workspace's service alone: others may have been left by a run that was killed."""
    own = id_of(dtk, SERVICE)
    return sorted(one.pid for one in runs("sleep", "7654") if one.environ().get("DTK_NODE", "").startswith(own))


def test_a_quiet_cluster_has_no_drift_and_a_refresh_leaves_no_trace(dtk: Dtk, nodes: dict[str, Path]) -> None:
    before = (
        {node: contents(home) for node, home in nodes.items()},
        daemons(dtk),
        in_workspace(dtk),
        temporary_files(),
    )
    output = dtk.run("plan", SERVICE, "--refresh", "--detailed-exitcode").stdout
    assert before == (
        {node: contents(home) for node, home in nodes.items()},
        daemons(dtk),
        in_workspace(dtk),
        temporary_files(),
    )
    assert "Drift" not in output
    assert "Not checked" not in output
    assert "6 commands run each time and can't be checked." in output
    assert f"Nothing to do: service '{SERVICE}' is up to date." in output
    assert dtk.run("plan", SERVICE).stdout == f"Nothing to do: service '{SERVICE}' is up to date.\n"


def test_what_was_changed_by_hand_is_told_and_mended(dtk: Dtk, nodes: dict[str, Path]) -> None:
    first, second = nodes["n:1"], nodes["n:2"]
    (first / "folder" / "plain").write_text("by hand\n")
    (first / "folder" / "secret").chmod(0o644)
    (first / "added").write_text("else\n")
    (second / "folder" / "secret").write_text("password=other\n")
    (second / "lines").unlink()
    (second / "folder").chmod(0o700)
    (daemon,) = [process for process in runs("sleep", "7654") if process.cwd() == str(second)]
    daemon.kill()
    eventually(lambda: not psutil.pid_exists(daemon.pid), "the daemon is gone")
    before = {node: contents(home) for node, home in nodes.items()}
    found = drift(dtk)
    assert found == {
        ("n:1", "files.put"): f"{first}/folder/plain content differs",
        ("n:1", "files.template"): f"{first}/folder/secret mode 644 → 600",
        ("n:1", f"ADD files/plain {first}/added"): f"{first}/added content differs",
        ("n:2", "files.directory"): f"{second}/folder mode 700 → 750",
        ("n:2", "files.template"): f"{second}/folder/secret content differs",
        ("n:2", "files.line"): f"{second}/lines is missing",
        ("n:2", "RUN nohup sleep 7654 >/dev/null 2>&1 & echo $! > pid"): "would run, according to its guard",
    }
    assert {node: contents(home) for node, home in nodes.items()} == before
    output = dtk.run("plan", SERVICE, "--refresh", "--out", "p.json", "--detailed-exitcode", code=10).stdout
    assert "Drift:\n" in output
    assert f"  ~ n:1/drift::files  files.put: {first}/folder/plain content differs\n" in output
    assert f"drifted: files.put {first}/folder/plain content differs" in output
    plan = json.loads((dtk.root / "p.json").read_text())
    assert PASSWORD not in (dtk.root / "p.json").read_text()
    assert {(c["node"], c["component"]) for c in plan["components"] if c["change"] == "changed"} == {
        (node, component) for node in ("n:1", "n:2") for component in ("drift::files", "drift::daemon")
    }
    dtk.run("apply", "p.json")
    assert (first / "folder" / "plain").read_text() == "plain\n"
    assert (second / "folder" / "secret").read_text() == f"password={PASSWORD}\n"
    assert len(daemons(dtk)) == 3
    assert drift(dtk) == {}
    dtk.run("plan", SERVICE, "--refresh", "--detailed-exitcode")
    assert "has changed since the plan was made" in dtk.run("apply", "p.json", code=5).stderr, (
        "the plan is bound to its state"
    )


def move_away(dtk: Dtk, node: str) -> None:
    """Change a node's recorded address to one where nothing answers, as when a firewall has closed its port."""
    file = dtk.root / ".dtk" / "services" / SERVICE / "state.json"
    state = json.loads(file.read_text())
    state["nodes"][node]["connection"]["port"] = 9
    file.write_text(json.dumps(state))


def test_a_node_that_does_not_answer_is_told_and_the_others_are_judged(dtk: Dtk, nodes: dict[str, Path]) -> None:
    (nodes["n:3"] / "folder" / "plain").write_text("by hand\n")
    move_away(dtk, "n:1")
    done = dtk.run("plan", SERVICE, "--refresh", "--detailed-exitcode", code=10)
    assert re.search(r"  ! n:1  unreachable: no SSH connection to \S+ within 2 s: ", done.stdout)
    assert f"files.put: {nodes['n:3']}/folder/plain content differs" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_secret_is_told_and_nothing_else_stops(dtk: Dtk, nodes: dict[str, Path], monkeypatch: Any) -> None:
    monkeypatch.delenv("DRIFT_PASSWORD")
    output = dtk.run("plan", SERVICE, "--refresh", "--detailed-exitcode").stdout
    assert (
        "  ? n:1/drift::files  values: environment variable DRIFT_PASSWORD, which a secret refers to, is not set"
        in output
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_refresh_leaves_no_process(dtk: Dtk, nodes: dict[str, Path], how: signal.Signals) -> None:
    """A guard that never ends is killed on the node as well, however the command is interrupted."""
    module = dtk.root / "modules" / "acme" / "drift" / "dtk.module.yaml"
    module.write_text(module.read_text().replace("unless: 'kill -0", "unless: 'test ! -e hang || sleep 8642; kill -0"))
    dtk.run("apply", SERVICE, "--yes")
    (nodes["n:1"] / "hang").touch()
    command = dtk.start("plan", SERVICE, "--refresh")
    eventually(lambda: runs("sleep", "8642"), "the guard runs")
    os.kill(command.pid, how)
    code = command.wait(60)
    assert code == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if command.stdout:
        assert "Traceback" not in command.stdout.read()
    eventually(lambda: not runs("sleep", "8642") and not asking(dtk), "nothing is left running")


def asking(dtk: Dtk) -> list[psutil.Process]:
    processes = psutil.process_iter(["cmdline", "cwd"])
    return [
        p
        for p in processes
        if "dtk.refresh.dry_run_worker" in (p.info["cmdline"] or []) and p.info["cwd"] == str(dtk.root)
    ]


def test_a_computed_hash_is_written_the_same_way_by_a_later_task(dtk: Dtk) -> None:
    folder = dtk.root / "modules" / "acme" / "settings"
    (folder / "files").mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text((HERE / "settings.module.yaml").read_text())
    (folder / "files" / "settings").write_text("{{ globals | tojson }}\n")
    dtk.run("deploy", "acme:settings/one", SERVICE)
    assert drift(dtk) == {}

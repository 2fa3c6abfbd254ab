"""dtk doctor checks every part of a service, changes nothing, and writes a report without secrets."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psutil
import pytest

from dtk.service.examination import Examined, redacted
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk

pytestmark = pytest.mark.usefixtures("module")
SERVICE = "ring1"


def content(root: Path) -> dict[str, str]:
    """Return the digest and mode of every file in a workspace, except those that local nodes write."""
    files = [path for path in root.rglob("*") if path.is_file() and "/nodes/" not in str(path)]
    return {str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}" for path in files}


def test_a_service_that_is_well_is_said_to_be_so_and_nothing_is_changed(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", SERVICE)
    before = content(dtk.root)
    shown = dtk.run("doctor", SERVICE).stdout
    assert content(dtk.root) == before
    assert "WRONG" not in shown
    for part in (
        "acme/ring 1.0.0",
        "3 nodes, running",
        "3 of 3 running nodes can be reached over SSH",
        "not locked",
    ):
        assert part in shown
    report = shown.partition("```text\n")[2]
    assert str(dtk.root) not in report
    assert "127.0.0." not in report


def test_a_report_shows_no_hidden_value(dtk: Dtk) -> None:
    file = dtk.root / "modules/acme/ring/dtk.module.yaml"
    hidden = "attributes:\n      key: {hidden: true, default: canary-of-a-key}\n"
    file.write_text(file.read_text().replace("attributes:\n", hidden, 1))
    dtk.run("deploy", "acme:ring/cluster", SERVICE)
    found = [Examined("tasks", "note", "task 1 failed: no access with canary-of-a-key", "curl -u canary-of-a-key")]
    (shown,) = redacted(Workspace(dtk.root), SERVICE, found)
    assert "canary" not in shown.text + shown.next
    assert shown.text.startswith("task 1 failed: no access with ")


def test_what_is_wrong_is_named_with_what_to_do_next(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", SERVICE)
    folder = dtk.root / f".dtk/services/{SERVICE}"
    with (folder / "tasks/1/events.jsonl").open("a") as log:
        log.write("broken\n")
    dtk.run("stop", SERVICE, "slaves:1")
    (folder / "known_hosts").chmod(0o644)
    server_of(dtk.root, "slaves:2").kill()
    done = dtk.run("doctor", SERVICE, code=1)
    assert "known_hosts can be read by others" in done.stdout
    assert f"chmod 600 .dtk/services/{SERVICE}/known_hosts" in done.stdout
    assert "the log of task 1: " in done.stdout
    assert "slaves:2: " in done.stdout
    found = {(one["part"], one["verdict"]) for one in json.loads(dtk.run("doctor", SERVICE, "--json", code=1).stdout)}
    assert {("files", "wrong"), ("nodes", "wrong"), ("tasks", "note"), ("disk", "ok")} <= found


def test_a_broken_state_is_a_part_that_is_wrong_and_what_is_kept_of_it_is_listed(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", SERVICE)
    state = dtk.root / f".dtk/services/{SERVICE}/state.json"
    whole = state.read_bytes()
    state.write_text("{")
    shown = dtk.run("doctor", SERVICE, code=1).stdout
    assert "state.json is broken" in shown
    assert "the kept version state.json.1 has serial" in shown
    state.write_bytes(whole)


def server_of(root: Path, node: str) -> psutil.Process:
    """Return the process of a local node's SSH server."""
    (found,) = [
        one
        for one in psutil.process_iter()
        if {"dtk.nodes.local"} <= set(words := command_line(one))
        and str(root) in " ".join(words)
        and f"/{node}" in " ".join(words)
    ]
    return found


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []

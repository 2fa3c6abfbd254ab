"""Missing permissions and files that dtk did not write in this form are reported with what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dtk.__main__ import run
from dtk.state.lock import holder
from dtk.state.store import load_state
from dtk.state.writer import StateStore
from tests.support.command_line import Dtk


@pytest.fixture
def staged(dtk: Dtk, module: Path) -> Dtk:
    """Create a workspace with a service that has no node yet."""
    dtk.run("stage", "acme:ring/cluster", "ring1")
    return dtk


def run_without_rights(dtk: Dtk, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command without root's privileges, so that file modes apply."""
    drops = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if drops and not shutil.which(drops[0]):
        pytest.skip("root heeds no file's mode, and there is no setpriv here")
    command = [*drops, sys.executable, "-m", "dtk", *words]
    return subprocess.run(command, cwd=dtk.root, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_local_state_that_may_not_be_used_is_named_with_what_to_do(staged: Dtk) -> None:
    folder = staged.root / ".dtk/services/ring1"
    refused = [(0o500, ("converge", "ring1"), "lock"), (0, ("ls",), "store.json"), (0, ("task-status",), "store.json")]
    for mode, words, file in refused:
        folder.chmod(mode)
        try:
            done = run_without_rights(staged, *words)
        finally:
            folder.chmod(0o700)
        output = f"error: {folder / file}: Permission denied\nnext: run dtk as the owner of the files"
        assert (done.returncode, done.stderr[: len(output)]) == (1, output)


def test_a_service_whose_state_can_not_be_written_is_not_staged_by_halves(staged: Dtk) -> None:
    (staged.root / ".dtk/services").chmod(0o500)
    try:
        done = run_without_rights(staged, "stage", "acme:ring/cluster", "ring2")
    finally:
        (staged.root / ".dtk/services").chmod(0o700)
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True)
    staged.run("stage", "acme:ring/cluster", "ring2")


@pytest.mark.parametrize(
    ("file", "words"), [("plan.json", ("apply", "plan.json", "--yes")), ("state.json", ("list-nodes",))]
)
def test_what_a_newer_dtk_wrote_is_refused_in_one_way(staged: Dtk, file: str, words: tuple[str, ...]) -> None:
    staged.run("plan", "ring1", "--out", "plan.json")
    kind = file.removesuffix(".json")
    written = staged.root / ("plan.json" if kind == "plan" else ".dtk/services/ring1/state.json")
    document = json.loads(written.read_text())
    written.write_text(json.dumps({**document, "format_version": 99}))
    done = staged.run(*words, code=1)
    assert f"{file} was written by a newer dtk ({kind} format 99)\nnext: update dtk\n" in done.stderr


def test_a_plan_that_somebody_edited_is_not_applied(staged: Dtk) -> None:
    staged.run("plan", "ring1", "--out", "plan.json")
    file = staged.root / "plan.json"
    document = json.loads(file.read_text())
    document["stages"][1]["steps"][0]["actions"][0]["attributes"]["port"] = 9999
    file.write_text(json.dumps(document))
    assert "plan.json was edited after dtk plan wrote it" in staged.run("apply", "plan.json", "--yes", code=3).stderr
    file.write_bytes(b"\xff\xfe")
    assert "plan.json is not a plan: it is not text" in staged.run("apply", "plan.json", "--yes", code=3).stderr


def test_a_plan_is_written_to_a_device_as_to_a_file_and_one_that_can_not_be_is_told(staged: Dtk) -> None:
    made = staged.root / "made"
    os.mkfifo(made)
    reader = subprocess.Popen(["cat", made], stdout=subprocess.PIPE, text=True)
    staged.run("plan", "ring1", "--out", "made")
    assert json.loads(reader.communicate(timeout=60)[0])["service"] == "ring1"
    assert made.is_fifo()
    assert "next: dtk plan --json" in staged.run("plan", "ring1", "--out", "-", code=2).stderr
    answer = staged.run("plan", "ring1", "--out", "no/plan.json", code=1).stderr
    assert answer == "error: no/plan.json can't be written: No such file or directory\n"


def test_a_plan_that_is_refused_leaves_the_service_free_for_the_next_line_of_the_shell(
    staged: Dtk, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged.run("plan", "ring1", "--out", "plan.json")
    folder = staged.root / ".dtk/services/ring1"
    state = load_state(folder / "state.json")
    assert state is not None
    StateStore(folder / "state.json", state).change(lambda one: replace(one, created_at="later"))
    monkeypatch.chdir(staged.root)
    # In this process, as the shell runs a line: the process survives the failed command and must release the lock.
    assert run(["apply", "plan.json", "--yes"]) == 5
    assert holder(folder) is None


def test_a_service_whose_state_is_broken_is_listed_as_such_beside_the_others(staged: Dtk) -> None:
    staged.run("stage", "acme:ring/cluster", "ring2")
    (staged.root / ".dtk/services/ring1/state.json").write_text("{")
    listed = staged.run("ls", "--json")
    assert [row["status"] for row in json.loads(listed.stdout)] == ["unreadable", "pending"]
    assert listed.stderr.startswith("ring1: ")
    assert "unreadable" in staged.run("ls").stdout


@pytest.mark.parametrize(
    "words", [("plan",), ("apply", "--yes"), ("converge",), ("exec", "create"), ("stop",)], ids=" ".join
)
def test_a_mistake_in_service_yaml_is_named_as_seen_from_the_workspace(staged: Dtk, words: tuple[str, ...]) -> None:
    file = staged.root / "services/ring1/service.yaml"
    file.write_text(file.read_text() + "attributes:\n")
    verb, *rest = words
    done = staged.run(verb, "ring1", *rest, code=None)
    assert "services/ring1/service.yaml:" in done.stderr
    assert str(staged.root) not in done.stderr

"""dtk in CI: what the forge's page shows of a task, and the files that exist however the task ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dtk.views.ci.github import SUMMARY_BYTES
from tests.support.command_line import Dtk
from tests.support.waiting import eventually, limited

HOSTILE = "echo ::error::forged; echo '##[error]forged'; exit 3"


@pytest.fixture
def ring(dtk: Dtk, module: Path) -> str:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    return "ring1"


def commands(text: str) -> list[str]:
    """Return the lines that GitHub's runner would execute as workflow commands."""
    return [line for line in text.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def suites(file: Path) -> dict[str, str]:
    return {name: value for name, value in ET.parse(file).getroot().items() if name in ("failures", "errors", "tests")}


def test_a_failed_apply_is_readable_on_github_s_own_page(dtk: Dtk, ring: str) -> None:
    dtk.run("set-attribute", ring, "slaves/ring::member/work", HOSTILE)
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(dtk.root / "summary.md")}
    files = ["--junit", "junit.xml", "--report", "report.html", "--output"]
    done = dtk.run("apply", ring, "--yes", *files, code=1, **github, GITHUB_WORKSPACE=str(dtk.root.parent))
    assert [line for line in commands(done.stdout) if "group" not in line] == []
    assert commands(done.stdout)[:2] == ["::group::STAGE 1: create_nodes_stage", "::endgroup::"]
    assert re.search(r"^slaves:1 \| :\u2060:error::forged$", done.stdout, re.M) is None, "it is no command there anyway"
    assert "slaves:1 | ::error::forged" in done.stdout
    assert re.search(r"^slaves:2: configure_node failed in [0-9.]+s: ", done.stdout, re.M)
    errors = commands(done.stderr)
    assert len(errors) == 2
    place = r"file=workspace/modules/acme/ring/dtk\.module\.yaml,line=[0-9]+,col=[0-9]+"
    assert re.match(rf"::error {place},title=slaves%3A[12]%3A 3\.1\.[12] members::Component ring::member: ", errors[0])
    summary = (dtk.root / "summary.md").read_text()
    assert "### Plan for `ring1`" in summary
    assert "### `ring1`, task 1: failed" in summary
    assert "| 3 | members | failed | 0 of 2 |" in summary
    assert suites(dtk.root / "junit.xml")["failures"] == "2"
    assert "forged" in (dtk.root / "report.html").read_text()


def test_events_are_streamed_and_an_unchanged_run_says_so_in_its_files(dtk: Dtk, ring: str) -> None:
    done = dtk.run("apply", ring, "--yes", "--json", "--junit", "junit.xml")
    assert [json.loads(line) for line in done.stdout.splitlines()] == dtk.events(ring, 1)
    assert suites(dtk.root / "junit.xml") == {"tests": "8", "failures": "0", "errors": "0"}
    again = dtk.run("apply", ring, "--yes", "--json", "--junit", "junit.xml", "--report", "report.html")
    assert again.stdout == ""
    assert "Nothing to do" in again.stderr
    assert suites(dtk.root / "junit.xml") == {"tests": "0", "failures": "0", "errors": "0"}
    assert "nothing to do" in (dtk.root / "report.html").read_text()
    shown = dtk.run("exec", ring, "master/ring::roll.call", "--output", "--ci", "gitlab").stdout
    assert re.search(r"^\x1b\[0Ksection_start:[0-9]+:stage_1[\r\n]\x1b\[0KSTAGE 1: ", shown, re.M)
    assert re.search(r"^master \| 127\.", shown, re.M)
    assert re.search(r"^master: action succeeded in [0-9.]+s$", shown, re.M)
    assert "section" not in dtk.run("exec", ring, "master/ring::roll.call", "--ci", "plain", GITLAB_CI="true").stdout


def test_events_come_while_the_task_runs(dtk: Dtk, ring: str, outside: Path) -> None:
    go = outside / "go"
    dtk.run("set-attribute", ring, "slaves/ring::member/work", f"until test -e {go}; do sleep 0.1; done")
    process = dtk.start("apply", ring, "--yes", "--json")
    assert process.stdout is not None
    with limited(process):
        for line in process.stdout:
            if json.loads(line)["type"] == "step.heartbeat":
                go.touch()
        assert process.wait() == 0


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("words", [("deploy", "acme:ring/cluster", "ring1"), ("converge", "ring1")], ids=" ".join)
def test_what_else_runs_a_task_writes_its_files_too(dtk: Dtk, words: tuple[str, ...]) -> None:
    if words[0] == "converge":
        dtk.run("stage", "acme:ring/cluster", "ring1")
    dtk.run(*words, "--output", "--junit", "junit.xml", "--report", "report.html")
    assert suites(dtk.root / "junit.xml") == {"tests": "8", "failures": "0", "errors": "0"}
    assert "ring1" in (dtk.root / "report.html").read_text()


def test_mistakes_are_annotations_and_a_code_quality_report_and_a_refused_apply_has_its_files(
    dtk: Dtk, ring: str, module: Path
) -> None:
    file = module / "dtk.module.yaml"
    file.write_text(file.read_text().replace("required: true", "requird: true"))
    done = dtk.run("validate", "--code-quality", "quality.json", code=3, GITHUB_ACTIONS="true")
    lines = file.read_text().splitlines()
    expected = [number for number, line in enumerate(lines, 1) if "requird" in line]
    found = re.findall(r"::error file=(\S+),line=([0-9]+),col=[0-9]+::(.*)", done.stderr)
    assert [(name, int(line)) for name, line, _ in found] == [
        ("modules/acme/ring/dtk.module.yaml", n) for n in expected
    ]
    assert all("requird" in message for _, _, message in found)
    report = json.loads((dtk.root / "quality.json").read_text())
    assert [one["location"]["lines"]["begin"] for one in report] == expected
    dtk.run("apply", ring, "--yes", "--junit", "junit.xml", "--report", "report.html", code=3)
    assert suites(dtk.root / "junit.xml")["errors"] == "1"
    assert "requird" in (dtk.root / "junit.xml").read_text()
    assert "requird" in (dtk.root / "report.html").read_text()
    missing = dtk.run("apply", ring, "--yes", "--junit", "no/such/junit.xml", code=2)
    assert "folder no/such does not exist" in missing.stderr
    assert "--detach" in dtk.run("converge", ring, "--detach", "--junit", "junit.xml", code=2).stderr


def test_a_cancelled_apply_has_its_files_too(dtk: Dtk, ring: str) -> None:
    dtk.run("set-attribute", ring, "slaves/ring::member/work", "echo waiting; sleep 600")
    process = dtk.start("apply", ring, "--yes", "--junit", "junit.xml", "--report", "report.html", "--output")
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("| waiting\n"):
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 6
    assert suites(dtk.root / "junit.xml")["errors"] == "1"
    assert "cancelled" in (dtk.root / "report.html").read_text()


def test_a_terminal_shows_how_long_a_step_takes_and_its_last_line(dtk: Dtk, ring: str) -> None:
    dtk.run("set-attribute", ring, "slaves/ring::member/work", "echo fetching; sleep 600")
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    words = [sys.executable, "-m", "dtk", "apply", ring, "--yes"]
    process = subprocess.Popen(words, cwd=dtk.root, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.set_blocking(master, False)
    seen = bytearray()

    def shown(pattern: bytes) -> bool:
        with suppress(OSError):  # nothing to read, or the other end is closed
            seen.extend(os.read(master, 65536))
        return re.search(pattern, seen) is not None

    eventually(lambda: shown(rb"\r\x1b\[Kslaves:[12] configure_node [0-9]+s \(and 1 more\)  fetching"), "a line")
    process.send_signal(signal.SIGINT)
    eventually(lambda: shown(b"Status: CANCELLED"), "the end")
    assert process.wait(60) == 6
    os.close(master)


def test_an_ad_hoc_action_that_failed_or_was_cancelled_leaves_nothing_to_plan(dtk: Dtk, ring: str) -> None:
    dtk.run("apply", ring, "--yes", "--report", "report.html", GITHUB_ACTOR="ada")
    (home,) = [Path(node["attributes"]["home"]) for node in dtk.json("list-nodes", ring) if node["node"] == "master"]
    (home / "roll").unlink()
    action = ("exec", ring, "master/ring::roll.call")
    dtk.run(*action, "--junit", "junit.xml", code=1, GITHUB_ACTOR="ada")
    assert suites(dtk.root / "junit.xml")["failures"] == "1"
    assert "Nothing to do" in dtk.run("plan", ring, "--detailed-exitcode").stdout
    os.mkfifo(home / "roll")  # the action blocks until something writes to the fifo
    (home / "roll").chmod(0o666)
    process = dtk.start(*action)
    folder = dtk.root / ".dtk/services" / ring

    def runs() -> bool:
        return any(event["type"] == "step.started" for event in dtk.events(ring, 3))

    eventually(lambda: (folder / "tasks/3/events.jsonl").exists() and runs(), "the action runs")
    assert "Nothing to do" in dtk.run("plan", ring, "--refresh").stdout, "the task holds the lock; a refresh takes none"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 6
    assert "Nothing to do" in dtk.run("plan", ring, "--detailed-exitcode").stdout
    assert [(task["task"], task["by"]["user"]) for task in dtk.json("list-tasks", ring)][1:] == [(2, "ada"), (1, "ada")]
    assert "ada" in dtk.run("list-tasks", ring).stdout
    assert "ada" in (dtk.root / "report.html").read_text()
    assert dtk.events(ring, 1)[0]["by"]["user"] == "ada"
    dtk.run("set-attribute", ring, "slaves/cardinality", "300")
    summary = dtk.root / "summary.md"
    summary.write_bytes(b"x" * (SUMMARY_BYTES - 2000))
    dtk.run("plan", ring, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert summary.stat().st_size <= SUMMARY_BYTES
    assert "### Plan for `ring1`" in summary.read_text()

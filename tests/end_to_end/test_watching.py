"""Watching tasks as people do: a terminal in tmux, the history, the details, the report, CI."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.command_line import Dtk
from tests.support.processes import NAP
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("module")

WORK = "slaves/ring::member/work=echo warming up; sleep {}"


class Tmux:
    """A terminal of 80 by 24 in its own tmux server."""

    def __init__(self, dtk: Dtk) -> None:
        self._dtk = dtk
        self._servers = 0

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, "-f", "/dev/null", *words]
        return subprocess.run(command, cwd=self._dtk.root, capture_output=True, text=True, check=True).stdout

    @property
    def _socket(self) -> str:
        return str(self._dtk.root.parent / f"tmux{self._servers}")

    def run(self, *words: str) -> None:
        """Run dtk in a new terminal and print its exit code below its output."""
        self.close()
        # A tmux server that exits keeps its socket for a moment, so each run uses a new one.
        self._servers += 1
        command = f"{sys.executable} -m dtk {' '.join(words)}; echo exit $?; exec sleep 300"
        self._tmux("new-session", "-d", "-x", "80", "-y", "24", command)

    def screen(self, *, color: bool = False) -> str:
        return self._tmux("capture-pane", "-p", *(["-e"] if color else []))

    def shows(self, text: str) -> str:
        try:
            return str(eventually(lambda: text in (shown := self.screen()) and shown, f"the terminal shows {text!r}"))
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{self.screen()}") from None

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def tmux(dtk: Dtk) -> Iterator[Tmux]:
    if not shutil.which("tmux"):
        pytest.skip("there is no tmux here: install the package tmux")
    terminal = Tmux(dtk)
    yield terminal
    terminal.close()


def test_a_running_task_is_watched_left_and_cancelled_from_a_terminal(dtk: Dtk, tmux: Tmux) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--detach", "--set", WORK.format(NAP))
    tmux.run("task-status", "ring1", "--wait")
    screen = tmux.shows("warming up")
    lines = screen.splitlines()
    assert lines[0].startswith("ring1 task 1: assembly_converge  executing  ")
    assert lines[1].startswith("[#######.......]  stages 2/5  steps 4/8")
    assert [line.split() for line in lines[3:5]] == [
        ["3", "members", "executing", lines[3].split()[-1]],
        ["3.1", "configure_nodegroup", "executing", "0/2", "slaves", lines[4].split()[-1]],
    ]
    assert "q quits, c cancels the task" in screen
    tmux.resize(60, 9)
    assert len(tmux.shows("... and").rstrip().splitlines()) <= 9
    tmux.resize(100, 30)
    tmux.shows("5 roll call")
    tmux.press("q")
    assert "executing" not in tmux.shows("exit 0")
    assert dtk.json("task-status", "ring1")["status"] == "executing"
    tmux.run("task-status", "ring1", "--wait")
    tmux.shows("c cancels the task")
    tmux.press("c")
    tmux.shows("Cancel the task? y cancels it")
    tmux.press("y")
    ended = tmux.shows("exit 6")
    assert "|     3.1 configure_nodegroup | cancelled | slaves   |" in ended
    assert "INFO: to resume: dtk apply ring1 --resume" in ended


def test_a_followed_task_tells_at_a_terminal_what_takes_long_and_how_it_ended_in_colour(dtk: Dtk, tmux: Tmux) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1", "--set", WORK.format(NAP))
    tmux.run("apply", "ring1", "--yes")
    last = tmux.shows("(and 1 more)  warming up").rstrip().splitlines()[-1]
    assert re.fullmatch(r"slaves:\d configure_node (\d+m )?\d+s \(and 1 more\)  warming up", last)
    tmux.press("C-c")
    tmux.shows("exit 6")
    colored = tmux.screen(color=True)
    ended = "\x1b[33mTo resume: dtk apply ring1 --resume\nStatus: CANCELLED\n\x1b[39m"
    assert re.search(re.escape(ended) + r"3 of 3 nodes changed, \d+ operations, [^\n]+\nexit 6", colored)
    tmux.run("apply", "nothing")
    tmux.shows("exit 2")
    assert "\x1b[31merror:\x1b[39m no service 'nothing'" in tmux.screen(color=True)
    tmux.run("--no-color", "apply", "nothing")
    tmux.shows("exit 2")
    assert "\x1b[3" not in tmux.screen(color=True)


def test_what_tasks_did_is_told_afterwards_in_every_form(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", WORK.format(0.1))
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    dtk.run("apply", "ring1", "--yes")
    table = dtk.run("task-status", "ring1", "--eta").stdout
    assert "|   1 create_node             | succeeded | slaves:3 |" in table
    assert "| DURATION | EXPECTED | STARTED AT" in table
    assert "1.1" not in [line.split()[1] for line in table.splitlines() if line.startswith("| ")]
    assert [(task["task"], task["status"]) for task in dtk.json("list-tasks", "ring1")] == [
        (2, "succeeded"),
        (1, "succeeded"),
    ]
    assert "| 2  | assembly_converge | succeeded | 4 of 4 |" in dtk.run("list-tasks", "ring1").stdout
    detail = dtk.run("task-action-detail", "ring1", "4.1").stdout
    assert "RUN: cat " in detail
    assert len([line for line in detail.splitlines() if line.startswith("  127.")]) == 3
    assert "warming up" in dtk.run("task-action-detail", "3.1.2", "--task", "1").stdout
    refused = dtk.run("task-action-detail", "ring1", "9.9", code=2).stderr
    assert "Task action with identifier '9.9' does not exist for this service instance." in refused
    made = dtk.run("task-action-detail", "ring1", "2.1", "--task", "1").stdout
    assert "OPERATION: files.directory {path: /" in made
    assert "\nCOMMAND:\n  mkdir -p " in made
    assert "COMPONENT: slaves:3/ring::member\n" in dtk.run("task-status", "ring1", "-m", "stream").stdout
    shown = dtk.run("task-status", "ring1", "1", "-m", "stream", "--output").stdout
    assert "COMPONENT: node-group:slaves/ring::member\n" in shown
    assert "slaves:2 | warming up\n" in shown
    assert dtk.run("replay", "ring1", "2", "--speed", "1000").stdout.endswith("9 rows in set\n")
    written = dtk.run("task-report", "ring1", "-o", "report.html").stdout
    assert written == "Written to report.html\n"
    page = (dtk.root / "report.html").read_text()
    assert "slaves/ring::member uses master/ring::hub" not in page
    assert "master/ring::roll uses slaves/ring::member" in page
    assert 'id="comparison"' in page
    dtk.run("task-status", "ring1", "--junit", "junit.xml")
    assert ET.parse(dtk.root / "junit.xml").getroot().get("tests") == "4"
    graph = dtk.run("graph", "ring1").stdout
    assert '["slaves (3)"]' in graph
    assert '["3 roll<br>configure_node master"]' in graph
    assert "cluster" in dtk.run("graph", "ring1", "--format", "dot").stdout
    dtk.run("graph", "ring1", "--format", "svg", "--out", "ring.svg")
    assert ET.parse(dtk.root / "ring.svg").getroot().tag.endswith("svg")
    log = dtk.root / ".dtk/services/ring1/tasks/2/events.jsonl"
    alone = Path(shutil.copy(log, dtk.root.parent / "copied.jsonl"))
    assert dtk.run("task-report", "--log", str(alone), "-o", "-").stdout.startswith("<!DOCTYPE html>")
    assert dtk.run("list-tasks", "ring1", TERM="dumb", NO_COLOR="1").stdout.isascii()

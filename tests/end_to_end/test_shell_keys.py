"""The shell on a real terminal: completion, locations, background tasks, the live screen, ^C and ^D."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from tests.support.command_line import Dtk
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("module")


@dataclass(frozen=True)
class Terminal:
    """A pseudo-terminal, 120 by 40, in which the shell runs."""

    socket: str

    def tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-L", self.socket, *words], capture_output=True, text=True, check=False)
        return done.stdout

    def keys(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def shows(self, text: str) -> None:
        eventually(lambda: text in self.screen(), f"'{text}' on the screen")

    def prompts(self, path: str) -> None:
        """Wait for an empty prompt at a location."""
        lines = f"dtk:{path}>"
        eventually(lambda: any(line.rstrip() == lines for line in self.screen().splitlines()), f"{lines} is there")


@pytest.fixture
def terminal(dtk: Dtk) -> Iterator[Terminal]:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    found = Terminal(f"dtk-{uuid.uuid4().hex[:8]}")
    found.tmux("new-session", "-d", "-x", "120", "-y", "40", "-c", str(dtk.root), sys.executable, "-m", "dtk", "shell")
    found.prompts("/")
    yield found
    found.tmux("kill-server")


def noticed(terminal: Terminal) -> bool:
    terminal.keys("Enter")
    return "[TASK NOTICE] Task with ID: 1 of 'ring1', has finished with status: cancelled" in terminal.screen()


def test_keys_drive_the_shell(dtk: Dtk, terminal: Terminal) -> None:
    terminal.keys("cd service/r", "Tab")
    terminal.shows("dtk:/>cd service/ring1")
    terminal.keys("Enter")
    terminal.prompts("/service/ring1")
    terminal.keys("set-attribute slaves/ring::member/w", "Tab")
    terminal.shows("set-attribute slaves/ring::member/work")
    terminal.keys("C-c")
    terminal.prompts("/service/ring1")
    terminal.keys("slaves set-attribute ring::member/work 'sleep 120'", "Enter")
    terminal.shows("Status: OK")
    terminal.keys("converge", "Enter")
    terminal.shows("task_id: 1")
    terminal.shows("ring1: task 1 executing")
    terminal.keys("task-status --wait", "Enter")
    terminal.shows("TASK TYPE")
    terminal.keys("C-c")
    terminal.prompts("/service/ring1")
    terminal.keys("clear", "Enter")
    eventually(lambda: "TASK TYPE" not in terminal.screen(), "the screen is clear")
    terminal.prompts("/service/ring1")
    terminal.keys("task-status --wait", "Enter")
    terminal.shows("TASK TYPE")
    terminal.keys("C-d")
    terminal.prompts("/service/ring1")
    eventually(lambda: dtk.json("task-status", "ring1")["status"] == "executing", "the task goes on")
    terminal.keys("clear", "Enter")
    terminal.keys("cd -", "Enter")
    terminal.prompts("/")
    terminal.keys("nope", "Enter")
    terminal.shows("'nope' is not a command in this location")
    terminal.keys("/service/ring1 cancel-task", "Enter")
    terminal.shows("is being cancelled")
    eventually(lambda: dtk.json("task-status", "ring1")["status"] == "cancelled", "the task ends")
    # The notice is printed with the first prompt after the worker has released the service.
    eventually(lambda: noticed(terminal), "a notice tells that the task has ended")
    terminal.keys("service/ring1 set-attribute password secret123", "Enter")
    # A key typed while the command runs goes to the terminal driver, not to the shell.
    eventually(lambda: terminal.screen().rstrip().partition("secret123\n")[2].endswith("dtk:/>"), "it is done")
    terminal.keys("C-d")
    eventually(lambda: terminal.tmux("list-sessions") == "", "the shell ends")
    history = (dtk.root / ".dtk" / "shell_history").read_text()
    assert "converge\n" in history
    assert "secret123" not in history


def test_an_idle_shell_is_not_woken(terminal: Terminal) -> None:
    shell = psutil.Process(int(terminal.tmux("display-message", "-p", "#{pane_pid}")))
    counts = [shell.num_ctx_switches().voluntary]

    def is_quiet() -> bool:
        # A shell that wakes up every second or more often never passes this check.
        time.sleep(3)
        counts.append(shell.num_ctx_switches().voluntary)
        return counts[-1] == counts[-2]

    eventually(is_quiet, "three seconds pass in which the shell does nothing")

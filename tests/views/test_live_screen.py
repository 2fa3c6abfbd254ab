"""``--wait`` with and without a real terminal: it shows the task and ends with it, and leaving affects nobody."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dtk.events.fold import fold
from dtk.views.formatting import width
from dtk.views.live_frame import frame
from dtk.views.live_screen import watch
from dtk.views.snapshot_table import render_snapshot
from tests.support.recorded_tasks import resumed
from tests.support.recorder import Recorder, group, record_spark, stage, step

WATCHER = (
    "import sys; from pathlib import Path; from dtk.views.live_screen import watch; path = Path(sys.argv[1]); "
    "sys.exit(watch(path, lambda: True, cancel=lambda: path.with_name('asked').touch()))"
)
REPLAYER = (
    "import sys; from pathlib import Path; from dtk.views.live_screen import replay; replay(Path(sys.argv[1]), 30)"
)
PATIENCE = 60.0
"""Seconds after which a test gives up; nothing here takes that long."""


class Terminal:
    """A pseudo-terminal of 80 by 24 with a watcher in it."""

    def __init__(self, path: Path, term: str = "xterm-256color", program: str = WATCHER) -> None:
        self._outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._inner = inner
        self.before = termios.tcgetattr(inner)
        environment = {**os.environ, "TERM": term, "COLUMNS": "80", "LINES": "24"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            env=environment,
            preexec_fn=lambda: os.login_tty(inner),  # noqa: PLW1509 - a session of its own: ^C must reach it
        )  # fmt: skip
        self.text = ""

    def reads(self, expected: str) -> bool:
        """Return whether the watcher shows this text before the time limit."""
        end = time.monotonic() + PATIENCE
        while expected not in self.text and time.monotonic() < end:
            if select.select([self._outer], [], [], 0.1)[0]:
                self.text += os.read(self._outer, 65536).decode()
        return expected in self.text

    def press(self, key: bytes) -> None:
        os.write(self._outer, key)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._inner, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def exit_code(self) -> int:
        end = time.monotonic() + PATIENCE
        # Read the remaining output; otherwise the watcher could block forever on writing to the terminal.
        while self.process.poll() is None and time.monotonic() < end:
            self.reads_some()
        self.reads_some()
        return self.process.wait(timeout=1)

    def reads_some(self) -> None:
        while select.select([self._outer], [], [], 0.05)[0]:
            self.text += os.read(self._outer, 65536).decode()

    @property
    def is_restored(self) -> bool:
        return termios.tcgetattr(self._inner) == self.before and self.text.rfind("\x1b[?1049l") > self.text.rfind(
            "\x1b[?1049h"
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._outer)
        os.close(self._inner)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return record_spark(tmp_path / "events.jsonl").event("step.output", step="5.1", lines=["formatting the namenode"])


@pytest.fixture
def terminal(recorder: Recorder) -> Iterator[Terminal]:
    terminal = Terminal(recorder.path)
    yield terminal
    terminal.close()


@pytest.mark.parametrize("key", [b"q", b"\x04", b"\x03"], ids=["q", "end of input", "interrupt"])
def test_a_key_leaves_in_silence_and_restores_the_terminal(terminal: Terminal, key: bytes) -> None:
    assert terminal.reads("formatting the namenode")
    terminal.press(key)
    assert terminal.exit_code() == 0
    assert terminal.is_restored
    assert "rows in set" not in terminal.text
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 6)])
def test_the_end_of_the_task_ends_the_screen_with_its_table_and_exit_code(
    terminal: Terminal, recorder: Recorder, status: str, code: int
) -> None:
    assert terminal.reads("formatting the namenode")
    recorder.finished("5.1").end(status)
    assert terminal.exit_code() == code
    assert terminal.is_restored
    assert terminal.text.endswith(render_snapshot(fold(recorder.events), columns=80).replace("\n", "\r\n"))


def test_the_screen_follows_the_terminals_size(terminal: Terminal) -> None:
    assert terminal.reads("formatting the namenode")
    terminal.resize(6, 60)
    assert terminal.reads("... and")
    terminal.press(b"q")
    assert terminal.exit_code() == 0


def test_a_terminal_that_changes_its_size_all_the_time_is_never_left_in_a_mess(
    terminal: Terminal, recorder: Recorder
) -> None:
    assert terminal.reads("formatting the namenode")
    for lines, columns in ((50, 200), (1, 1), (3, 20), (24, 80)):
        terminal.resize(lines, columns)
        recorder.event("step.output", step="5.1", lines=[f"now {lines} by {columns}"])
        time.sleep(0.4)
    assert terminal.reads("now 24 by 80")
    recorder.finished("5.1").end()
    assert terminal.exit_code() == 0
    assert terminal.is_restored
    assert "Traceback" not in terminal.text


def test_c_asks_and_cancels_only_after_a_yes(terminal: Terminal, recorder: Recorder) -> None:
    asked = recorder.path.with_name("asked")
    assert terminal.reads("q quits, c cancels the task")
    terminal.press(b"c")
    assert terminal.reads("Cancel the task? y cancels it")
    terminal.press(b"n")
    terminal.text = ""
    assert terminal.reads("q quits, c cancels the task")
    assert not asked.exists()
    terminal.press(b"c")
    assert terminal.reads("Cancel the task? y cancels it")
    terminal.press(b"y")
    assert terminal.reads("cancellation requested")
    assert asked.exists()
    recorder.event("task.cancelling", by="test").finished("5.1", "cancelled").end("cancelled")
    assert terminal.exit_code() == 6


def test_a_finished_task_is_played_again_at_its_own_pace(tmp_path: Path) -> None:
    recorder = resumed(tmp_path / "events.jsonl")
    began = time.monotonic()
    terminal = Terminal(recorder.path, program=REPLAYER)
    try:
        # A ten-second recording at 30 times its speed: it takes a moment, and shows the recording's time, not the
        # current one.
        assert terminal.reads("executing")
        assert terminal.exit_code() == 0
        assert time.monotonic() - began > 10 / 30
        assert "10.0s" in terminal.text
        assert terminal.is_restored
        assert terminal.text.endswith(render_snapshot(fold(recorder.events), columns=80).replace("\n", "\r\n"))
    finally:
        terminal.close()


def test_a_dumb_terminal_gets_plain_tables(recorder: Recorder) -> None:
    terminal = Terminal(recorder.path, term="dumb")
    try:
        assert terminal.reads("37 rows in set")
        terminal.press(b"q")
        assert terminal.exit_code() == 0
        assert "\x1b" not in terminal.text
    finally:
        terminal.close()


def test_without_a_terminal_a_changed_table_is_printed_and_the_last_one_at_the_end(recorder: Recorder) -> None:
    output = io.StringIO()
    looks = iter([True, True, True])

    def alive() -> bool:
        return next(looks, False)

    with Path(os.devnull).open() as nothing:
        assert watch(recorder.path, alive, stdout=output, stdin=nothing) == 1
    running, final = output.getvalue().split("37 rows in set\n", 1)
    assert "| assembly_converge                | executing |" in running
    assert final.count("rows in set") == 1
    assert "the worker has ended" in final


def test_a_frame_shows_what_runs_first_and_folds_the_rest(recorder: Recorder) -> None:
    now = datetime(2015, 11, 26, 17, 18, 45, 200000, UTC)
    text = [line.text for line in frame(fold(recorder.events), now, 100, 24)]
    assert text == [
        "spark-cluster1 task 1: assembly_converge  executing  110.2s",
        "[#######.......]  stages 4/12  steps 10/20",
        "TASK TYPE                       STATUS     NODE    DURATION",
        "5 namenode                      executing          4.0s",
        "  5.1 configure_node            executing  master  3.9s",
        "6 if needed leave safemode",
        "7 namenode smoke test",
        "8 datanodes",
        "9 hdfs directories for spark",
        "10 spark master",
        "11 spark workers",
        "12 component gitarchive[mar01]",
        "finished:",
        "1 create_nodes_stage            succeeded          83.8s",
        "2 bigtop_multiservice           succeeded          0.0s",
        "3 bigtop hiera                  succeeded          5.4s",
        "4 bigtop_base                   succeeded          5.8s",
        "5.1 master 3.9s: formatting the namenode",
        "q quits",
    ]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 10), (10, 5), (1, 1), (200, 100)])
def test_a_frame_of_300_nodes_never_exceeds_the_terminal(tmp_path: Path, columns: int, lines: int) -> None:
    plan = [stage("1", "all", group("1.1", "nodes", size=300), step("1.2", "configure_node", "日本" * 50))]
    recorder = Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan).start()
    recorder.started(*(f"1.1.{number}" for number in range(1, 301))).finished("1.1.300", "failed")
    shown = frame(fold(recorder.events), datetime(2015, 11, 26, 10, 1, tzinfo=UTC), columns, lines)
    assert len(shown) <= lines
    assert all(width(line.text) <= columns for line in shown)
    assert lines < 10 or any(line.text.lstrip().startswith("1.1.300") for line in shown)

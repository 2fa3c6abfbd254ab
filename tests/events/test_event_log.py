"""Tests of the log writer: whole lines and numbers without gaps, even if the process dies or the disk fills up."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dtk.events.log import RESERVE_BYTES, EventLog, LogWriteError
from dtk.events.log_reader import read_log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def run_writer(program: str, path: Path) -> subprocess.Popen[str]:
    """Start a separate process that writes the log."""
    source = "import sys\nfrom pathlib import Path\nfrom dtk.events.log import *\n" + textwrap.dedent(program)
    return subprocess.Popen([sys.executable, "-c", source, str(path)], stdout=subprocess.PIPE, text=True)


def test_events_are_lines_with_a_sequence_and_a_utc_time(path: Path) -> None:
    moment = datetime(2015, 11, 26, 18, 16, 55, 123456, timezone(timedelta(hours=1)))
    with EventLog(path, clock=lambda: moment) as log:
        first = log.append("task.started", "two\nlines", pid=7)
        log.append("attribute.set", "ü", path="a/b", value=None)
    assert path.read_text().splitlines() == [
        '{"v":1,"seq":1,"ts":"2015-11-26T17:16:55.123456Z","type":"task.started","message":"two lines","pid":7}',
        '{"v":1,"seq":2,"ts":"2015-11-26T17:16:55.123456Z","type":"attribute.set","message":"ü","path":"a/b","value":null}',
    ]
    assert first == json.loads(path.read_text().splitlines()[0])


def test_only_its_owner_may_read_a_log(path: Path) -> None:
    EventLog(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_log_leaves_nothing_beside_it(path: Path) -> None:
    with EventLog(path):
        assert sum(file.stat().st_size for file in path.parent.iterdir()) == RESERVE_BYTES
    assert list(path.parent.iterdir()) == [path]


def test_a_reopened_log_goes_on_after_its_last_whole_line(path: Path) -> None:
    with EventLog(path) as log:
        log.append("task.started", "a")
        log.append("step.output", "b")
    path.write_bytes(path.read_bytes() + b'{"v":1,"seq":3,"ts":"20')
    with EventLog(path) as log:
        assert log.append("step.output", "c")["seq"] == 3
    reading = read_log(path)
    assert [event["message"] for event in reading.events] == ["a", "b", "c"]
    assert reading.notes == ()


def test_a_broken_last_line_does_not_restart_the_sequence(path: Path) -> None:
    with EventLog(path) as log:
        log.append("task.started", "a")
    path.write_bytes(path.read_bytes() + b"rubbish\n\n")
    with EventLog(path) as log:
        assert log.append("step.output", "b")["seq"] == 2


def test_threads_share_a_log_without_gaps(path: Path) -> None:
    with EventLog(path) as log:
        threads = [
            threading.Thread(target=lambda: [log.append("step.output", "x" * 200) for _ in range(200)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert read_log(path).notes == ()
    assert len(read_log(path).events) == 1600


def test_an_event_is_written_whole_or_refused(path: Path) -> None:
    with EventLog(path) as log:
        with pytest.raises(ValueError, match="seq"):
            log.append("step.output", "", seq=9)
        with pytest.raises(ValueError, match="JSON compliant"):
            log.append("step.heartbeat", "", seconds=float("nan"))
        assert log.append("step.output", "undecodable \udc80", lines=["\udcff"])["seq"] == 1
    assert read_log(path).events[0]["lines"] == ["?"]


def test_a_log_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogWriteError, match="No such file or directory"):
        EventLog(tmp_path / "missing" / "events.jsonl")


def test_a_line_that_does_not_fit_is_taken_back(path: Path) -> None:
    writer = run_writer(
        """
        import resource
        log = EventLog(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1300, 1300))
        try:
            while True:
                log.append("step.output", "x" * 400)
        except LogWriteError as error:
            print(error.message)
        print(log.append("step.output", "short")["seq"])
        """,
        path,
    )
    out, _ = writer.communicate(timeout=60)
    reading = read_log(path)
    assert "can't be written" in out
    assert reading.notes == ()
    assert reading.events[-1]["message"] == "short"
    assert len(reading.events) == int(out.splitlines()[-1])


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a real filesystem that fills up almost at once."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk can't be mounted here (it takes root on Linux)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_still_takes_the_lines_that_close_the_task(tiny_disk: Path) -> None:
    with EventLog(tiny_disk / "events.jsonl") as log:
        with pytest.raises(LogWriteError, match=r"No space left on device|fit on the disk"):
            collections.deque(log.append("step.output", "", lines=["x" * 3000]) for _ in range(1000))
        log.append("task.finished", "the disk is full", status="failed", seconds=1.0)
    reading = read_log(tiny_disk / "events.jsonl")
    assert reading.notes == ()
    assert reading.events[-1]["message"] == "the disk is full"


def test_a_killed_writer_leaves_a_log_that_reads_and_goes_on(path: Path) -> None:
    acknowledged = 0
    for lifetime in (0.0, 0.01, 0.03, 0.07):
        writer = run_writer(
            """
            log = EventLog(Path(sys.argv[1]))
            while True:
                print(log.append("step.started", "x" * 5000, step="1.1")["seq"], flush=True)
            """,
            path,
        )
        assert writer.stdout is not None
        output = [writer.stdout.readline()]
        time.sleep(lifetime)
        os.kill(writer.pid, signal.SIGKILL)
        output += writer.stdout.readlines()
        writer.communicate()
        numbers = [int(line) for line in output if line.endswith("\n")]
        assert numbers[0] in (acknowledged + 1, acknowledged + 2)
        acknowledged = numbers[-1]
        reading = read_log(path)
        assert len(reading.events) >= acknowledged
        assert all("torn" in note for note in reading.notes)
    with EventLog(path, clock=lambda: datetime.now(UTC)) as log:
        log.append("task.finished", "closed")
    assert read_log(path).notes == ()

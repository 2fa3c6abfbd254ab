"""Tests of a full disk: the task ends cleanly, no work runs unrecorded, and the log gives the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apply.lab import Lab, action, is_running, run, stage, wait_until

MEGABYTES = 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a small filesystem that fills up quickly. Mounting it requires root on Linux."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a small filesystem can only be made by root on Linux")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small filesystem here: {mounted.stderr.decode()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    """Fill a disk to the last byte."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue


@pytest.mark.parametrize("fails_on", ["the log", "the state"])
def test_a_full_disk_stops_remote_work_and_closes_the_log(small_disk: Path, tmp_path: Path, fails_on: str) -> None:
    lab = Lab(small_disk / "workspace")
    try:
        home = lab.add_node("master").home
        other = lab.add_node("slaves:1").home
        outside = tmp_path / "go"
        last = (
            "while :; do head -c 1500 /dev/zero | tr '\\0' x; echo; sleep 0.1; done"
            if fails_on == "the log"
            else "true"
        )
        wait = f"echo $$ > pid; until test -e {outside}; do sleep 0.05; done; {last}"
        started = lab.start(
            stage(
                1,
                # More than a page: what is appended to a file may still fit into the last page that the file has.
                action("master", "m::c", run(wait), attributes={"text": "x" * 8192}),
                action("slaves:1", "m::c", run("echo $$ > pid; sleep 300")),
            ),
            stage(2, action("master", "m::d", run("true"))),
        )
        files = [home / "pid", other / "pid"]
        wait_until(lambda: all(file.exists() and file.read_text().strip() for file in files))
        pids = [int(file.read_text()) for file in files]
        fill(small_disk)
        outside.touch()
        result = lab.result(started)
        assert result.exit_code == 1
        assert (result.end["type"], result.end["status"]) == ("task.finished", "failed")
        assert "can't be written" in result.end["message"]
        assert [result.step(number)["status"] for number in ("1.1", "1.2")] == ["failed", "failed"]
        assert result.ran == ["1.1", "1.2"]
        assert [pid for pid in pids if is_running(pid)] == []
        unfinished = lab.state.unfinished
        assert unfinished is not None
        assert unfinished.task == 1
    finally:
        lab.close()

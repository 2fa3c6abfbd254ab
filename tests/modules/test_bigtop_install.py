"""bigtop:bigtop_base's installer: a machine downloads a part only once, shows progress, and shares it safely."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pwd import struct_passwd
from typing import Any

import pytest

from tests.support.software import INSTALLER

ONE_NODE = """
import runpy, sys, time
from pathlib import Path
installer = runpy.run_path(sys.argv[1])
folder = Path(sys.argv[2])
installer["progress"].__wrapped__.__globals__["PROGRESS_SECONDS"] = 0.1
def make(part):
    with (folder / "made").open("a") as made:
        made.write("once\\n")
    (part / "big").write_bytes(bytes(3_000_000))
    while not (folder / "go").exists():
        time.sleep(0.05)
installer["install"](folder, installer["Part"]("tool-1", "tool", make))
"""
UID = 4_000_000_123


def node(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ONE_NODE, str(INSTALLER), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str], text: str) -> str:
    """Return the next line of a process's output that contains a text."""
    assert process.stdout is not None
    return next(line for line in process.stdout if text in line)


def test_nodes_of_one_machine_fetch_a_part_once_and_show_how_far_it_is(tmp_path: Path) -> None:
    first = node(tmp_path)
    assert line_of(first, "installing") == f"installing {tmp_path}/tool-1\n"
    second = node(tmp_path)
    waiting = line_of(second, "waiting")
    assert waiting == f"waiting for another node of this machine, which installs into {tmp_path}\n"
    assert line_of(first, ": 3 MB") == f"installing {tmp_path}/tool-1: 3 MB\n"
    (tmp_path / "go").touch()
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (tmp_path / "made").read_text() == "once\n"
    assert (tmp_path / "tool-1/big").stat().st_size == 3_000_000


@pytest.fixture
def shared() -> Iterator[Path]:
    folder = Path(f"/var/tmp/dtk-bigtop-{UID}")
    yield folder
    if folder.is_dir():
        folder.rmdir()


def folder_of(home: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    installer = runpy.run_path(str(INSTALLER))
    user = struct_passwd(("somebody", "x", UID, UID, "", home, "/bin/sh"))
    monkeypatch.setattr("pwd.getpwuid", lambda _: user)
    return installer["machine_folder"]


def test_the_shared_folder_is_below_the_user_s_own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "of a local node"))
    assert folder_of(str(tmp_path), monkeypatch)() == tmp_path / ".cache/dtk/bigtop"


def test_a_user_without_a_home_shares_a_folder_that_nobody_else_can_write(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = folder_of("/nonexistent", monkeypatch)
    assert found() == shared
    shared.chmod(0o777)
    with pytest.raises(SystemExit, match="is not a folder of somebody alone"):
        found()
    shared.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SystemExit, match="set software_directory"):
        found()

"""Tests of the service lock: one writer that others can see and wait for, released when its process dies."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.errors import LockedError
from dtk.state.lock import acquire, adopt, holder, this_process

HOLDS = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from dtk.state.lock import acquire\n"
    "lock = acquire(Path(sys.argv[1]), 'dtk apply dask1')\n"
    "print('held', flush=True)\n"
    "sys.stdin.readline()\n"
    "lock.release()\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".dtk/services/dask1"


def other_holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.close()


def test_a_second_writer_is_told_who_holds_the_lock(folder: Path) -> None:
    with other_holder(folder) as process:
        with pytest.raises(LockedError) as raised:
            acquire(folder, "dtk apply dask1")
        assert "'dtk apply dask1'" in raised.value.message
        assert f"process {process.pid}" in raised.value.message
        assert raised.value.hint == "wait for it with --lock-wait 5m"
        with pytest.raises(LockedError) as raised:
            acquire(folder, "dtk plan dask1 --refresh", None)
        assert raised.value.hint == "try again when it has ended"
        let_go(process)


def test_a_waiting_writer_gets_the_lock_when_it_is_free(folder: Path) -> None:
    with other_holder(folder) as process:
        let_go(process)
        with acquire(folder, "dtk plan", wait=30):
            found = holder(folder)
            assert found is not None
            assert found.pid == os.getpid()


def test_a_dead_holder_holds_nothing(folder: Path) -> None:
    with other_holder(folder) as process:
        process.send_signal(signal.SIGKILL)
    assert holder(folder) is None
    acquire(folder, "dtk plan").release()


def test_readers_see_the_holder_and_take_nothing(folder: Path) -> None:
    assert holder(folder) is None
    lock = acquire(folder, "dtk apply dask1")
    for _ in range(3):
        found = holder(folder)
        assert found is not None
        assert (found.command, found.pid) == ("dtk apply dask1", os.getpid())
        assert found.age().endswith("s")
    lock.release()
    assert holder(folder) is None


def test_a_lock_goes_to_a_child_without_being_free_in_between(folder: Path) -> None:
    lock = acquire(folder, "dtk apply dask1")
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    lock.name_holder(this_process("dtk apply dask1 (task 1)", task=1))
    lock.hand_over()
    found = holder(folder)
    assert found is not None
    assert found.task == 1
    with pytest.raises(LockedError):
        acquire(folder, "dtk apply dask1")
    child.communicate()
    acquire(folder, "dtk apply dask1").release()


def test_an_adopted_lock_is_not_inherited_further(folder: Path) -> None:
    lock = acquire(folder, "dtk apply dask1")
    os.set_inheritable(lock.descriptor, True)
    adopted = adopt(folder, lock.descriptor)
    assert not os.get_inheritable(adopted.descriptor)
    lock.release()


def test_a_lock_of_a_removed_service_is_worth_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = acquire(folder, "dtk delete-and-destroy dask1")
    real = fcntl.flock
    moved: list[Path] = []

    def removed_meanwhile(descriptor: int, operation: int) -> None:
        """Remove the folder between opening the file and locking it."""
        if not moved:
            moved.append(folder.rename(folder.with_name(".removed")))
            lock.release()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    second = acquire(folder, "dtk apply dask1")
    assert os.fstat(second.descriptor).st_ino == (folder / "lock").stat().st_ino
    assert (folder.with_name(".removed") / "lock").exists()
    second.release()

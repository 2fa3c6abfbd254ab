"""Tests of a file that lines are appended to: shared syncs, and lines that a failed sync leaves in doubt."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dtk.disk.appended_file import AppendedFile
from dtk.disk.files import sync_file
from dtk.events.log import MOST_UNSYNCED_BYTES, EventLog, LogWriteError
from dtk.events.log_reader import read_log
from dtk.state import changes
from dtk.state.store import load_state, new_state
from dtk.state.writer import StateStore

WRITERS = 40


class SlowDisk:
    """A disk whose first sync ends only when it is told to."""

    def __init__(self) -> None:
        self.syncs = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self.has_begun.set()
        assert self.may_end.wait(60)
        sync_file(descriptor)


class LossyDisk:
    """A disk that fails some syncs; as Linux does then, it drops what was not on disk and forgets about it."""

    def __init__(self, path: Path, failing: set[int]) -> None:
        self._path = path
        self._failing = failing
        self._synced = 0
        self._calls = 0

    def sync(self, descriptor: int) -> None:
        self._calls += 1
        size = os.fstat(descriptor).st_size
        if self._calls in self._failing:
            with self._path.open("r+b") as file:
                file.seek(self._synced)
                file.write(b"\0" * (size - self._synced))
            raise OSError(5, os.strerror(5))
        self._synced = size


def in_threads(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_lines_appended_while_the_disk_syncs_share_the_next_sync(tmp_path: Path) -> None:
    disk = SlowDisk()
    file = AppendedFile(tmp_path / "lines", sync=disk.sync)
    first = in_threads(1, lambda _: file.append(b"first\n")())
    assert disk.has_begun.wait(60)
    waits = [file.append(b"%d\n" % number) for number in range(WRITERS)]
    others = in_threads(WRITERS, lambda number: waits[number]())
    disk.may_end.set()
    for thread in (*first, *others):
        thread.join()
    assert disk.syncs == 2
    assert len((tmp_path / "lines").read_bytes().splitlines()) == WRITERS + 1


def test_lines_whose_sync_failed_are_written_again(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = AppendedFile(path, sync=LossyDisk(path, {2, 3}).sync)
    file.append(b"one\n")()
    file.append(b"not waited for\n")
    for line in (b"two\n", b"three\n"):
        with pytest.raises(OSError, match="Input/output error"):
            file.append(line)()
    assert path.read_bytes() != b"one\nnot waited for\ntwo\nthree\n"
    file.append(b"four\n")()
    assert path.read_bytes() == b"one\nnot waited for\ntwo\nthree\nfour\n"


def test_a_log_has_no_gap_after_a_sync_that_failed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path, sync=LossyDisk(path, {2}).sync) as log:
        log.append("task.started", "begun")
        log.append("step.output", "a line that nobody waits for")
        with pytest.raises(LogWriteError, match="Input/output error"):
            log.append("step.started", "not acknowledged")
        log.append("task.finished", "the disk failed", status="failed")
    reading = read_log(path)
    assert reading.notes == ()
    assert [event["seq"] for event in reading.events] == [1, 2, 3, 4]


def test_output_without_a_boundary_is_not_kept_in_memory(tmp_path: Path) -> None:
    syncs: list[int] = []
    with EventLog(tmp_path / "events.jsonl", sync=syncs.append) as log:
        for _ in range(50):
            log.append("step.output", "", lines=["x" * MOST_UNSYNCED_BYTES])
            assert log._file.unsynced == 0
    assert len(syncs) == 50


def test_whoever_waits_for_a_file_that_is_replaced_goes_on(tmp_path: Path) -> None:
    disk = SlowDisk()
    file = AppendedFile(tmp_path / "lines", sync=disk.sync)
    wait = file.append(b"one\n")
    with file.replaced():
        threads = in_threads(3, lambda _: wait())
    for thread in threads:
        thread.join()
    assert disk.syncs == 0


def test_a_change_is_seen_and_built_on_while_the_disk_syncs_it(tmp_path: Path) -> None:
    file, disk = tmp_path / "state.json", SlowDisk()
    store = StateStore(file, new_state("s"), sync=disk.sync)
    store.change(lambda state: changes.with_attributes(state, {"snapshot": 1}))

    def change(number: int) -> None:
        store.change(lambda state: changes.with_attributes(state, {f"a{number}": number}))

    first = in_threads(1, change)
    assert disk.has_begun.wait(60)
    assert store.state.attributes == {"snapshot": 1, "a0": 0}
    others = [threading.Thread(target=change, args=(number,)) for number in range(1, WRITERS)]
    for number, thread in enumerate(others, start=1):
        thread.start()
        while f"a{number}" not in store.state.attributes:
            threading.Event().wait(0.001)
    disk.may_end.set()
    for thread in (*first, *others):
        thread.join()
    assert disk.syncs == 2
    assert load_state(file) == store.state
    assert store.state.serial == WRITERS + 1


def test_a_snapshot_waits_for_a_sync_and_has_every_change(tmp_path: Path) -> None:
    file, disk = tmp_path / "state.json", SlowDisk()
    store = StateStore(file, new_state("s"), sync=disk.sync)
    store.change(lambda state: changes.with_attributes(state, {"a": 1}))

    def change(_: int) -> None:
        store.change(lambda state: changes.with_attributes(state, {"b": 2}))

    changing = in_threads(1, change)
    assert disk.has_begun.wait(60)
    folding = in_threads(2, lambda _: store.write_snapshot())
    disk.may_end.set()
    for thread in (*changing, *folding):
        thread.join()
    assert not (tmp_path / "state.journal").exists()
    assert load_state(file) == store.state
    store.change(lambda state: changes.with_attributes(state, {"c": 3}))
    found = load_state(file)
    assert found is not None
    assert found.attributes == {"a": 1, "b": 2, "c": 3}


def test_a_change_whose_sync_failed_is_on_disk_with_the_next(tmp_path: Path) -> None:
    file, journal = tmp_path / "state.json", tmp_path / "state.journal"
    store = StateStore(file, new_state("s"), sync=LossyDisk(journal, {1}).sync)
    store.change(lambda state: changes.with_attributes(state, {"a": 1}))
    with pytest.raises(OSError, match=r"Input/output error.*state\.journal"):
        store.change(lambda state: changes.with_attributes(state, {"b": 2}))
    store.change(lambda state: changes.with_attributes(state, {"c": 3}))
    assert load_state(file) == store.state
    assert store.state.attributes == {"a": 1, "b": 2, "c": 3}


def test_other_greenlets_of_a_worker_run_while_the_disk_syncs(tmp_path: Path) -> None:
    """In a process like the worker's: the sync ends only after another greenlet has run."""
    program = (
        "from gevent import monkey\n"
        "monkey.patch_all()\n"
        "import sys, gevent\n"
        "from pathlib import Path\n"
        "from dtk.apply import disk_thread\n"
        "from dtk.events.log import EventLog\n"
        "told = monkey.get_original('threading', 'Event')()\n"
        "disk_thread.sync_file = lambda descriptor: told.wait(60) or sys.exit(9)\n"
        "with EventLog(Path(sys.argv[1]), sync=disk_thread.sync_in_thread) as log:\n"
        "    gevent.spawn(told.set)\n"
        "    log.append('task.started', 'begun')\n"
        "    print('synced', told.is_set())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "events.jsonl")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "synced True\n", done.stderr

"""Tests of real processes on one store: workers and shippers that are killed, stopped, cancelled and superseded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dtk.events.fold import fold
from dtk.events.log import EventLog
from dtk.events.log_reader import read_log as read_local
from dtk.model.store_settings import StoreSettings
from dtk.state.model import State
from dtk.state.store import save_state
from dtk.store.commit import committed_state
from dtk.store.errors import FencedError, StoreError
from dtk.store.folder_objects import FolderObjects
from dtk.store.head import Head
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, LeaseRequest, Tools, acquire, new_lease
from dtk.store.link import WorkerLink
from dtk.store.mirror import head_now
from dtk.store.segments import read_log
from dtk.store.shipper import FENCED_EXIT
from dtk.store.shipping import Job, job_of, job_text

KEYS = ServiceKeys("s")
SECONDS = 120.0


def until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


class Task:
    """A task as the launcher starts it: a lease, its own shipper, and this process as the worker."""

    def __init__(self, root: Path, lease_seconds: float = 60.0, worker: int = 0) -> None:
        self.objects = FolderObjects(root / "store")
        self.state, self.log_file = root / "local/state.json", root / "local/events.jsonl"
        self.state.parent.mkdir(parents=True)
        self.lease = acquire(Tools(self.objects), LeaseRequest("s", "L", new_lease("a", "u", "apply", lease_seconds)))
        self.lease.begin_task(1)
        self.log = EventLog(self.log_file)
        settings = StoreSettings("folder", path=str(root / "store"))
        self.job = Job(settings, "s", 1, self.lease.nonce, str(self.state), str(self.log_file), worker)
        self.stops: list[tuple[str, str]] = []
        mine, its = socket.socketpair()
        self.socket = mine
        self.shipper = subprocess.Popen(
            [sys.executable, "-m", "dtk.store.shipper", str(its.fileno())],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[its.fileno()],
        )
        its.close()
        assert self.shipper.stdin is not None
        self.shipper.stdin.write(job_text(self.job).encode())
        self.shipper.stdin.close()
        self.link = WorkerLink(mine, lambda reason, kind: self.stops.append((reason, kind)))

    def head(self) -> Head:
        found = head_now(self.objects, "s")
        assert found is not None
        return found.head

    def close(self) -> None:
        self.log.close()
        if self.shipper.poll() is None:
            os.kill(self.shipper.pid, signal.SIGCONT)
            self.shipper.kill()
        self.shipper.wait()
        self.socket.close()
        if self.shipper.stderr is not None:
            self.shipper.stderr.close()


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    started = Task(tmp_path)
    yield started
    started.close()


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Task]:
    """Yield a task whose lease expires after three seconds."""
    started = Task(tmp_path, lease_seconds=3.0)
    yield started
    started.close()


def begin(task: Task) -> None:
    task.log.append("task.started", "task 1 started", pid=os.getpid())
    save_state(task.state, State("s", "L", 1))
    task.link.barrier(1, task.log_file.stat().st_size)


def test_a_job_comes_back_as_it_was_said() -> None:
    job = Job(StoreSettings("folder", path="/p"), "s", 1, "n", "/state", "/log", 7, 2, 90)
    assert job_of(job_text(job)) == job


def test_what_a_barrier_waits_for_is_in_the_store(task: Task) -> None:
    begin(task)
    head = task.head()
    assert head.serial == 1
    assert json.loads(committed_state(task.objects, head) or b"")["lineage"] == "L"
    assert read_log(task.objects, KEYS, 1)[0] == task.log_file.read_bytes()


def test_a_task_that_ends_is_whole_in_the_store_and_its_service_is_free(task: Task) -> None:
    begin(task)
    task.log.append("task.finished", "done", status="succeeded", seconds=1.0)
    save_state(task.state, State("s", "L", 5))
    task.link.end(destroyed=False)
    assert task.shipper.wait(SECONDS) == 0
    assert (task.head().serial, task.head().lease) == (5, None)
    assert read_log(task.objects, KEYS, 1) == (task.log_file.read_bytes(), ())
    assert task.objects.get(KEYS.whole_log(1)) is not None
    assert task.stops == []


def test_a_destroyed_service_keeps_its_logs_and_loses_its_key(task: Task) -> None:
    task.objects.put_new(KEYS.private_key, b"PRIVATE")
    begin(task)
    task.link.end(destroyed=True)
    assert task.head().destroyed
    assert task.objects.get(KEYS.private_key) is None
    assert task.objects.get(KEYS.whole_log(1)) is not None


def test_a_worker_that_is_gone_gets_its_log_closed_and_its_service_freed_at_once(task: Task) -> None:
    begin(task)
    task.log.close()
    task.socket.shutdown(socket.SHUT_RDWR)
    assert task.shipper.wait(SECONDS) == 0
    assert task.head().lease is None
    assert fold(read_local(task.log_file).events).is_over
    assert read_log(task.objects, KEYS, 1)[0] == task.log_file.read_bytes()


def test_a_shipper_that_is_killed_stops_the_worker_and_another_takes_the_service_when_the_lease_is_over(
    short: Task,
) -> None:
    begin(short)
    short.shipper.kill()
    until(lambda: bool(short.stops))
    assert short.stops == [("the process that uploads this task to the store has ended", "failed")]
    with pytest.raises(StoreError, match="has ended"):
        short.link.barrier(2)
    taken = take_over(short)
    assert taken.previous is not None
    assert taken.previous.task == 1


def test_a_shipper_that_was_paused_while_another_took_over_writes_nothing_more(short: Task) -> None:
    begin(short)
    short.shipper.send_signal(signal.SIGSTOP)
    taken = take_over(short)
    before = short.objects.list("")
    save_state(short.state, State("s", "L", 9))
    short.shipper.send_signal(signal.SIGCONT)
    until(lambda: bool(short.stops))
    # Either the worker's own clock or the shipper reports the lost lease first. In both cases nothing new starts.
    with pytest.raises(StoreError, match=r"superseded|another holder"):
        short.link.check()
    short.socket.shutdown(socket.SHUT_WR)
    assert short.shipper.wait(SECONDS) == FENCED_EXIT
    after = {key for key in short.objects.list("") if key not in before}
    assert all("/states/" in key and key.endswith("-000001.json") for key in after), "only a body nobody points to"
    assert (short.head().serial, short.head().epoch) == (1, 2)
    taken.beat()


def take_over(task: Task) -> HeldLease:
    request = LeaseRequest("s", "L", new_lease("b", "u", "apply", 60.0))
    return acquire(Tools(task.objects), request, wait=SECONDS)


def test_a_worker_starts_nothing_once_its_lease_may_be_another_s(short: Task) -> None:
    begin(short)
    short.shipper.send_signal(signal.SIGSTOP)
    with pytest.raises(StoreError, match="another process may lock the service"):
        short.link.barrier(99)


def test_anybody_s_request_to_cancel_reaches_the_worker(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    task = Task(tmp_path, worker=worker.pid)
    try:
        begin(task)
        task.objects.put_new(KEYS.cancel(1, task.head().epoch), b"{}")
        assert worker.wait(SECONDS) == -signal.SIGTERM
    finally:
        task.close()
        worker.kill()
        worker.wait()


ONE_AT_A_TIME = """
import sys, time
from pathlib import Path
from dtk.store.commit import commit_state, committed_state
from dtk.store.folder_objects import FolderObjects
from dtk.store.lease import LeaseRequest, Tools, acquire, new_lease
objects = FolderObjects(Path(sys.argv[1]))
held = acquire(Tools(objects), LeaseRequest("s", sys.argv[2], new_lease(sys.argv[2], "u", "apply", 60.0)), wait=120)
before = (committed_state(objects, held.head) or b"").decode()
time.sleep(0.2)
commit_state(held, held.head.serial + 1, f"{before}{held.head.epoch} ".encode())
held.release()
"""


def test_four_that_start_at_once_on_an_empty_store_go_one_after_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    processes = [subprocess.Popen([sys.executable, "-c", ONE_AT_A_TIME, str(folder), "L"]) for _ in range(4)]
    assert [process.wait(SECONDS) for process in processes] == [0] * 4
    found = head_now(FolderObjects(folder), "s")
    assert found is not None
    assert (found.head.lineage, found.head.serial, found.head.epoch, found.head.lease) == ("L", 4, 4, None)
    assert committed_state(FolderObjects(folder), found.head) == b"1 2 3 4 "


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from dtk.store.commit import commit_state
from dtk.store.folder_objects import FolderObjects
from dtk.store.layout import ServiceKeys
from dtk.store.lease import LeaseRequest, Tools, acquire, new_lease
from dtk.store.segments import LogShipper, Shipped

class Mortal(FolderObjects):
    left = int(sys.argv[2])
    def _step(self):
        Mortal.left -= 1
        if Mortal.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def put_new(self, key, data):
        self._step(); done = super().put_new(key, data); self._step()
        return done
    def put_if(self, key, data, etag):
        self._step(); done = super().put_if(key, data, etag); self._step()
        return done

objects = Mortal(Path(sys.argv[1]) / "store")
held = acquire(Tools(objects), LeaseRequest("s", "L", new_lease("a", "u", "apply", 1.0)))
held.begin_task(1)
log = Path(sys.argv[1]) / "log"
log.write_bytes(b"1\\n")
shipper = LogShipper(objects, ServiceKeys("s"), 1, log, Shipped())
shipper.ship()
commit_state(held, 1, b"one")
log.write_bytes(b"1\\n2\\n")
shipper.finish()
held.release()
"""


@pytest.mark.parametrize("step", range(17))
def test_killed_before_or_after_any_write_the_next_one_goes_on(step: int, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(tmp_path), str(step)], capture_output=True, check=False
    )
    # There are eight writes with a kill point before and after each. The last run completes.
    assert process.returncode == (-signal.SIGKILL if step < 16 else 0), process.stderr
    objects = FolderObjects(tmp_path / "store")
    held = acquire(Tools(objects), LeaseRequest("s", "L", new_lease("b", "u", "apply", 60.0)), wait=SECONDS)
    assert (held.head.lineage, held.head.serial) in (("L", 0), ("L", 1))
    assert committed_state(objects, held.head) in (None, b"one")
    assert read_log(objects, KEYS, 1) in ((b"", ()), (b"1\n", ()), (b"1\n2\n", ()))
    held.beat()


def test_a_holder_of_an_older_epoch_is_fenced_across_processes(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "store")
    old = acquire(Tools(objects), LeaseRequest("s", "L", new_lease("a", "u", "apply", 0.5)))
    acquire(Tools(objects), LeaseRequest("s", "L", new_lease("b", "u", "apply", 60.0)), wait=SECONDS)
    with pytest.raises(FencedError, match="superseded"):
        old.commit(1, old.head.state)  # type: ignore[arg-type]

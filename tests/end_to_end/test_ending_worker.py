"""The time between a task's last event and its worker's exit: what waits for the worker, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dtk.errors import LockedError
from dtk.events.log import EventLog
from dtk.service.holding import holding
from dtk.state.lock import ServiceLock, acquire, this_process
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.support.preload import preload

pytestmark = pytest.mark.usefixtures("module")
SERVICE = "app1"
SLOW = """
import os, time
real = os.unlink
def unlink(path, *more, **named):
    time.sleep(2 * (os.path.basename(path) == "service.yaml"))
    real(path, *more, **named)
os.unlink = unlink
"""


class Clock:
    """A clock that advances only in sleeps; the lock is released after 30 s."""

    def __init__(self, lock: ServiceLock) -> None:
        self.now, self.lock = 0.0, lock

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now > 30:
            self.lock.release()


@pytest.fixture
def workspace(dtk: Dtk) -> Workspace:
    """Create a workspace with a staged service whose log shows that its first task has started."""
    dtk.run("stage", "acme:ring/cluster", SERVICE)
    made = Workspace(dtk.root)
    made.task_folder(SERVICE, 1).mkdir(parents=True)
    with EventLog(made.event_log(SERVICE, 1)) as log:
        log.append("task.started", "task 1 started")
    return made


@pytest.fixture
def clock(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Have the task's worker hold the lock; return the clock that releases it."""
    worker = acquire(workspace.service_folder(SERVICE), f"dtk apply {SERVICE}")
    worker.name_holder(this_process(f"dtk apply {SERVICE} (task 1)", 1))
    made = Clock(worker)
    monkeypatch.setattr("dtk.state.lock.time", SimpleNamespace(monotonic=made.monotonic, sleep=made.sleep))
    yield made
    worker.release()


def test_a_worker_whose_task_has_ended_is_waited_for(workspace: Workspace, clock: Clock) -> None:
    with EventLog(workspace.event_log(SERVICE, 1)) as log:
        log.append("task.finished", "task 1 succeeded", status="succeeded", seconds=1.0)
    with holding(workspace, SERVICE, f"dtk stop {SERVICE}", 0.0):
        assert clock.now > 30


def test_a_task_that_goes_on_refuses_at_once(workspace: Workspace, clock: Clock) -> None:
    with pytest.raises(LockedError) as refused, holding(workspace, SERVICE, f"dtk stop {SERVICE}", 0.0):
        pass
    assert f"dtk cancel-task {SERVICE}" in refused.value.hint
    assert clock.now < 1


def test_a_service_is_gone_when_its_destroy_returns(dtk: Dtk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dtk.run("deploy", "acme:ring/cluster", SERVICE, "--set", "slaves/cardinality=1")
    preload(monkeypatch, tmp_path / "slow", SLOW)
    dtk.run("delete-and-destroy", SERVICE, "--yes")
    assert not (dtk.root / "services" / SERVICE).exists()
    dtk.run("stage", "acme:ring/cluster", SERVICE)

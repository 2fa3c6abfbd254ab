"""A task with stand-ins for all that it works on, in this process, which is patched like a worker's."""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import os  # noqa: E402
import signal  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager, nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402
from types import SimpleNamespace  # noqa: E402
from typing import Any, cast  # noqa: E402

import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from dtk.apply import stages, task  # noqa: E402
from dtk.apply.reporting.redacted_log import Journal  # noqa: E402
from dtk.apply.reporting.redaction import Redactor  # noqa: E402
from dtk.apply.reporting.reporter import StepReporter  # noqa: E402
from dtk.apply.session.cancellation import Stopping  # noqa: E402
from dtk.apply.session.task_context import TaskContext  # noqa: E402
from dtk.disk.files import sync_file  # noqa: E402
from dtk.events.event import decode  # noqa: E402
from dtk.events.log import EventLog  # noqa: E402
from dtk.model.plan import Plan, Stage, Step  # noqa: E402

ACTION = Step("1.1", "action", "a")
ON_A = Stage("1", "one", (ACTION,))
PLAN = Plan(
    dtk_version="0",
    service="s",
    assembly="test:mod/cluster",
    target={"name": "local", "type": "local"},
    task_type="assembly_converge",
    workflow="create",
    lineage="",
    serial=1,
    digest="0" * 64,
    stages=(ON_A,),
)


class World:
    """A task with a real log and stand-ins for what it works on; its disk can be busy."""

    def __init__(self, **given: Any) -> None:
        self.path = Path(tempfile.mkdtemp()) / "events.jsonl"
        self.is_free = Event()
        self.is_free.set()
        self.stopping = Stopping()
        self.log = EventLog(self.path, sync=self._sync)
        self.journal = Journal(self.log, Redactor(), lambda: self.stopping.stop("failed"))
        self.session = _Session()
        parts = {
            "journal": self.journal,
            "stopping": self.stopping,
            "sessions": {"a": self.session},
            "in_doubt": [],
            "seconds": 1.0,
            "number": 1,
            "plan": PLAN,
            "link": None,
            "may_not_start": lambda: bool(self.stopping.reason),
            "await_commit": lambda: None,
            "settle": lambda: None,
            "write_snapshot": lambda: None,
            "change_state": lambda *_: None,
            "drop_session": lambda _: None,
            "connections": SimpleNamespace(end=lambda: None),
            "engine": SimpleNamespace(running=nullcontext),
            "identity": None,
            "store": SimpleNamespace(write_snapshot=lambda: None, state=SimpleNamespace(nodes={"a": 1}, in_doubt={})),
            **given,
        }
        self.context = cast(TaskContext, SimpleNamespace(**parts))

    def _sync(self, descriptor: int) -> None:
        self.is_free.wait()
        sync_file(descriptor)

    def run_steps_with(self, work: Callable[[TaskContext, Step, StepReporter], bool]) -> None:
        """Let this be what steps do."""
        setattr(stages, "run_actions", work)  # noqa: B010
        setattr(task, "update_firewall", lambda _: None)  # noqa: B010

    @property
    def events(self) -> list[dict[str, Any]]:
        return [cast(dict[str, Any], decode(line)) for line in self.path.read_bytes().splitlines()]

    @property
    def told(self) -> list[str]:
        """The types of the events, with their status."""
        return [" ".join(filter(None, (one["type"], one.get("status")))) for one in self.events]

    def saw(self, told: str) -> None:
        """Wait until an event is written."""
        with gevent.Timeout(60):
            while told not in self.told:
                gevent.sleep(0.01)


class _Session:
    has_orphaned_command = is_in_doubt = False

    def __init__(self) -> None:
        self.has_ended = Event()
        self.may_end = Event()
        self.may_end.set()

    def end_step_processes(self) -> str:
        self.may_end.wait()
        self.has_ended.set()
        return ""

    end_running_command = end_step_processes


def sleeps(*_: object) -> bool:
    gevent.sleep(600)
    return True


@contextmanager
def exit_is_recorded() -> Iterator[list[int]]:
    """Record the codes with which the process would exit at once."""
    codes: list[int] = []
    real = os._exit

    def exit_at_once(code: int) -> None:
        codes.append(code)
        gevent.sleep(600)

    setattr(os, "_exit", exit_at_once)  # noqa: B010
    try:
        yield codes
    finally:
        setattr(os, "_exit", real)  # noqa: B010


def send_signal() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    gevent.sleep(0.2)

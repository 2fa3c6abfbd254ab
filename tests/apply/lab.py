"""A test workspace that runs hand-made plans with real workers over real SSH to servers on this machine."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import asyncssh

from dtk.apply.launch import StartedTask, start_task
from dtk.apply.worker_ahead import WorkerAhead
from dtk.model.executor import DaskCluster, Executor
from dtk.model.plan import Plan, Stage, Step
from dtk.model.planned_action import PlannedAction
from dtk.nodes.provider import Connection
from dtk.plan.document import CODEC
from dtk.state.changes import with_node
from dtk.state.lock import acquire
from dtk.state.model import NodeState, State
from dtk.state.store import load_state, new_state, save_state
from dtk.state.workspace import Workspace
from tests.apply.server import SshServer

_Found = TypeVar("_Found")

SERVICE = "dask1"
DIGEST = "0" * 64
Event = Mapping[str, Any]


def run(command: str | Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan item that runs a command."""
    return {"kind": "run", "command": command, **more}


def operation(name: str, arguments: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a plan item that runs a pyinfra operation."""
    return {"kind": "operation", "name": name, "arguments": dict(arguments), **more}


def action(node: str, component: str, *items: Mapping[str, Any], name: str = "create", **more: Any) -> PlannedAction:
    """Return a component's action on a node, decoded as from a plan document."""
    given = {"action_digest": DIGEST, "input_digest": "1" * 64, "module": "test/mod", **more}
    document = {"node": node, "component": component, "action": name, "items": items, **given}
    return CODEC.instance(PlannedAction, json.loads(json.dumps(document)))


def applied_attributes(lab: Lab, node: str, component: str) -> Any:
    """Return the attributes that the state document records for an applied component."""
    document = json.loads(lab.workspace.state_file(SERVICE).read_text())
    return document["applied"][node][component]["attributes"]


def reference(path: str, type_: str) -> dict[str, Any]:
    """Return a reference to a value that an earlier step produces."""
    return {"$reference": {"path": path, "type": type_}}


def output(path: str, text: str, source: str = "command", type_: str = "string", **more: Any) -> dict[str, Any]:
    """Return the declaration of an action's output."""
    name = path.rpartition("/")[2]
    return {"attribute": path, "name": name, "type": type_, "source": source, "text": text, **more}


def stage(number: int, *actions: PlannedAction, **more: Any) -> Stage:
    """Return a stage with one step per action."""
    steps = tuple(
        Step(f"{number}.{index}", "configure_node" if one.action == "create" else "action", one.node, actions=(one,))
        for index, one in enumerate(actions, start=1)
    )
    return Stage(str(number), f"stage {number}", steps, **more)


@dataclass(frozen=True)
class Result:
    """The result of a finished task."""

    exit_code: int
    folder: Path
    events: Sequence[Event]

    def of(self, event_type: str, **fields: Any) -> list[Event]:
        """Return the events of a type whose fields have these values."""
        return [e for e in self.events if e["type"] == event_type and fields.items() <= e.items()]

    def step(self, number: str) -> Event:
        """Return the event that finished a step."""
        (event,) = self.of("step.finished", step=number)
        return event

    @property
    def ran(self) -> list[str]:
        """The numbers of the started steps, in order."""
        return [event["step"] for event in self.of("step.started")]

    @property
    def end(self) -> Event:
        """The task's last event."""
        return self.events[-1]


class Machine(Protocol):
    """What `put_node` needs from a test server: its host and home folder."""

    host: str
    home: Path


LONGEST_SECONDS = 300
"""Time limit for a task: a host may hold the locks of its package manager for a minute."""


class Lab:
    """A workspace with one service whose nodes are SSH servers started by the test."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.workspace = Workspace(root)
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.key_file = root / "client_key"
        self.client_key.write_private_key(self.key_file)
        self.key_file.chmod(0o600)
        self.workspace.file.write_text("format_version: 1\n")
        self.servers: dict[str, SshServer] = {}
        self.started: list[StartedTask] = []

    @property
    def state(self) -> State:
        state = load_state(self.workspace.state_file(SERVICE))
        assert state is not None
        return state

    def add_node(self, name: str, user: str = "tester", **connection: Any) -> SshServer:
        """Start a server and add it to the state as an existing node."""
        server = SshServer(self.workspace.root / "machines" / name.replace(":", "."), self.client_key).start()
        self.servers[name] = server
        self.put_node(name, Connection(server.host, server.port, user, str(self.key_file), **connection), server)
        return server

    def put_node(self, name: str, connection: Connection, server: Machine) -> None:
        """Write a node to the state."""
        file = self.workspace.state_file(SERVICE)
        attributes = {"host_address": server.host, "home": str(server.home)}
        node = NodeState(f"id-{name}", "running", asdict(connection), attributes)
        save_state(file, with_node(load_state(file) or new_state(SERVICE), name, node))

    def plan(self, *stages: Stage, **more: Any) -> Plan:
        """Return a plan for the current state."""
        state = load_state(self.workspace.state_file(SERVICE))
        given = {
            "dtk_version": "0",
            "service": SERVICE,
            "assembly": "test:mod/cluster",
            "target": {"name": "local", "type": "local", "connect_timeout": 5},
            "task_type": "assembly_converge",
            "workflow": "create",
            "lineage": state.lineage if state else "",
            "serial": state.serial if state else 0,
            "digest": DIGEST,
            **more,
        }
        return Plan(stages=stages, **given)

    def start(
        self,
        *stages: Stage,
        modules: Mapping[str, Path] | None = None,
        ahead: WorkerAhead | None = None,
        workers: int = 0,
        dask: DaskCluster | None = None,
        **more: Any,
    ) -> StartedTask:
        """Start a task, in the worker started ahead of time if one is given.

        ``workers`` is the number of processes that hold connections, 0 for auto; ``dask`` is where they run.
        """
        executor = Executor(workers, dask)
        plan = self.plan(*stages, **more)
        lock = acquire(self.workspace.service_folder(SERVICE), f"dtk apply {SERVICE}")
        try:
            started = start_task(self.workspace, plan, lock=lock, modules=modules or {}, ahead=ahead, executor=executor)
        finally:
            lock.release()
        self.started.append(started)
        return started

    def apply(self, *stages: Stage, **more: Any) -> Result:
        """Run a task and wait for its result."""
        return self.result(self.start(*stages, **more))

    def result(self, started: StartedTask) -> Result:
        """Wait until a task ends and return its result."""
        code = started.process.wait(timeout=LONGEST_SECONDS)
        return Result(code, started.folder, list(self.events(started)))

    def events(self, started: StartedTask) -> Iterator[Event]:
        """Yield the events logged so far, without a torn last line."""
        log = started.folder / "events.jsonl"
        for line in log.read_text().splitlines(keepends=True) if log.exists() else []:
            if line.endswith("\n"):
                yield json.loads(line)

    def wait_for(self, started: StartedTask, event_type: str, **fields: Any) -> Event:
        """Wait until a task's log contains a matching event and return it."""

        def found() -> Event | None:
            matching = (e for e in self.events(started) if e["type"] == event_type and fields.items() <= e.items())
            return next(matching, None)

        return wait_until(found)

    def close(self) -> None:
        """Kill the workers that a failed test left running, and stop the servers."""
        for started in self.started:
            if started.process.poll() is None:
                started.process.kill()
                started.process.wait()
        for server in self.servers.values():
            server.stop()


def wait_until(condition: Callable[[], _Found | None], seconds: float = 120.0) -> _Found:
    """Wait until a condition returns a true value and return that value."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return result


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return _answers(pid) if not Path("/proc/self").exists() else False
    return status.rpartition(")")[2].split()[0] != "Z"


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

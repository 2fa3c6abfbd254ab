"""Scenarios in which something happens while a task waits for its disk, its store or its target.

Each runs in a process of its own, patched like a worker's before anything else is imported (test_interleavings.py).
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent
from gevent.event import Event

from dtk.apply import stages, task, worker
from dtk.apply.items.deploys import _function
from dtk.apply.nodes.machines import MachineBatch
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.apply.steps import run_step
from dtk.events.log import MOST_UNSYNCED_BYTES, LogWriteError
from dtk.model.plan import Step
from dtk.nodes.provider import Connection
from dtk.ssh.connect import Patience
from dtk.ssh.output import STREAMS
from dtk.ssh.shards import process
from dtk.ssh.shards.messages import End, Open
from dtk.ssh.shards.wire import Wire
from dtk.state.model import NodeState
from dtk.store.link import Lines, WorkerLink
from tests.apply.patched_task import ACTION, ON_A, PLAN, World, exit_is_recorded, send_signal, sleeps

SCENARIOS: dict[str, Callable[[], None]] = {}


def scenario(function: Callable[[], None]) -> Callable[[], None]:
    """Register a scenario by its name."""
    SCENARIOS[function.__name__] = function
    return function


@scenario
def machines_stay_when_the_task_is_cancelled_before_the_call() -> None:
    called, begun, may_go_on = [], Event(), Event()
    node = NodeState("i-1", "running", asdict(Connection("h")), {})

    def await_commit() -> None:
        begun.set()
        may_go_on.wait()

    provider = SimpleNamespace(
        check=lambda *_: None, unclaim_script=lambda _: "", terminate=lambda *_: called.append("terminate")
    )
    world = World(
        provider=provider,
        await_commit=await_commit,
        store=SimpleNamespace(state=SimpleNamespace(nodes={"a": node})),
    )
    step = replace(ACTION, type="terminate_node")
    running = gevent.spawn(run_step, world.context, step, MachineBatch(world.context, [step]).run)
    begun.wait()
    world.stopping.stop("cancelled")
    may_go_on.set()
    assert running.get(timeout=60) == "cancelled"
    assert called == []


@scenario
def a_full_disk_at_the_cancel_leaves_no_command_behind() -> None:
    world = World()
    append = world.log.append

    def full(event_type: str, message: str, **fields: object) -> object:
        if event_type == "task.cancelling":
            raise LogWriteError("the disk is full")
        return append(event_type, message, durable=False, **fields)

    setattr(world.log, "append", full)  # noqa: B010
    world.run_steps_with(sleeps)
    worker.handle_signals(world.context)
    world.session.may_end.clear()
    running = gevent.spawn(task.run_task, world.context)
    world.saw("step.started")
    send_signal()
    world.session.may_end.set()
    assert running.get(timeout=60) in ("cancelled", "failed")
    assert world.session.has_ended.is_set()
    assert "step.finished cancelled" in world.told


@scenario
def a_signal_after_the_end_changes_nothing() -> None:
    ours, its = socket.socketpair()
    link = WorkerLink(ours, lambda *_: None)
    world = World(link=link)
    worker.handle_signals(world.context)
    world.journal.append("task.finished", "done", status="succeeded")
    world.log.close()
    ending = gevent.spawn(worker._end_in_store, link, 0)
    send_signal()
    Lines(its).send(ended=True)
    assert ending.get(timeout=60) == 0
    assert world.told == ["task.finished succeeded"]


@scenario
def a_second_signal_ends_the_waiting_for_the_upload() -> None:
    world = World(link=object())
    with exit_is_recorded() as codes:
        worker.handle_signals(world.context)
        world.journal.append("task.finished", "done", status="succeeded")
        send_signal()
        assert codes == []
        send_signal()
        assert codes == [1]
    assert world.told == ["task.finished succeeded"]


@scenario
def a_task_that_was_stopped_while_its_result_is_uploaded_has_its_result() -> None:
    world = World(settle=sleeps, plan=replace(PLAN, workflow=""))
    world.run_steps_with(lambda *_: True)
    with exit_is_recorded() as codes:
        worker.handle_signals(world.context)
        gevent.spawn(task.run_task, world.context)
        world.saw("stage.finished succeeded")
        send_signal()
        send_signal()
        assert codes == [1]
    assert world.told[-2:] == ["task.cancelling", "task.finished succeeded"]
    assert "next_command" not in world.events[-1]


@scenario
def the_first_signal_is_the_first_although_the_task_is_failing() -> None:
    world = World()
    world.run_steps_with(sleeps)
    with exit_is_recorded() as codes:
        worker.handle_signals(world.context)
        running = gevent.spawn(task.run_task, world.context)
        world.saw("step.started")
        world.stopping.start_nothing("the store has been unreachable for too long")
        send_signal()
        assert codes == []
        assert running.get(timeout=60) == "failed"
    assert world.events[-1]["error"]["message"] == "the store has been unreachable for too long"


@scenario
def what_a_step_has_done_counts_when_nothing_else_may_start() -> None:
    world, begun, may_go_on = World(), Event(), Event()

    def work(*_: object) -> bool:
        with world.stopping.shielded():
            begun.set()
            may_go_on.wait()
        return True

    running = gevent.spawn(run_step, world.context, ACTION, work)
    begun.wait()
    world.stopping.start_nothing("the store has been unreachable for too long")
    may_go_on.set()
    assert running.get(timeout=60) == "succeeded"


@scenario
def the_line_of_a_second_signal_is_the_last_one() -> None:
    world = World()
    world.run_steps_with(sleeps)
    world.session.may_end.clear()
    running = gevent.spawn(task.run_task, world.context)
    world.saw("step.started")
    with exit_is_recorded() as codes:
        worker.handle_signals(world.context)
        send_signal()
        world.is_free.clear()
        send_signal()
        # The disk is busy with the last line; meanwhile the step's command has been ended, and the task goes on.
        world.saw("task.finished cancelled")
        world.session.may_end.set()
        running.join(timeout=0.5)
        world.is_free.set()
        running.join(timeout=60)
        gevent.sleep(0.1)
        assert codes == [6]
    assert world.told[-1] == "task.finished cancelled"
    assert world.told.count("task.finished cancelled") == 1
    assert world.events[-1]["in_doubt"] == ["1.1"]


def cancelled_while_the_disk_has(world: World, told: str) -> str:
    """Run a stage, cancel it while the busy disk has an event, and return the stage's status."""
    running = gevent.spawn(stages.run_stage, world.context, ON_A)
    world.saw(told)
    world.stopping.stop("cancelled")
    gevent.sleep(0.1)
    world.is_free.set()
    return str(running.get(timeout=60))


@scenario
def a_cancel_while_the_disk_has_a_step_s_end_comes_too_late() -> None:
    world = World()

    def work(*_: object) -> bool:
        world.is_free.clear()
        return True

    world.run_steps_with(work)
    assert cancelled_while_the_disk_has(world, "step.finished succeeded") == "succeeded"
    assert world.told[-2:] == ["step.finished succeeded", "stage.finished succeeded"]


@scenario
def a_cancel_while_the_disk_has_a_step_s_output_loses_no_end() -> None:
    world = World()

    def work(_context: TaskContext, _step: Step, reporter: StepReporter) -> bool:
        reporter._gate._batch += [("stdout", "x" * 2000)] * (MOST_UNSYNCED_BYTES // 2000 + 10)
        world.is_free.clear()
        return True

    world.run_steps_with(work)
    assert cancelled_while_the_disk_has(world, "step.output") == "succeeded"
    assert "step.finished succeeded" in world.told


@scenario
def a_stop_on_its_way_does_not_hit_the_record_of_a_step() -> None:
    world, done = World(), Event()

    def work(*_: object) -> bool:
        done.wait()
        return True

    def stop() -> None:
        # In one turn: the step goes on first, and the error that stops it arrives at its next wait.
        done.set()
        gevent.sleep(0)
        world.stopping.stop("cancelled")

    running = gevent.spawn(run_step, world.context, ACTION, work)
    world.saw("step.started")
    world.is_free.clear()
    gevent.spawn(stop)
    gevent.sleep(0.1)
    world.is_free.set()
    assert running.get(timeout=60) in ("cancelled", "succeeded")
    assert sum(told.startswith("step.finished") for told in world.told) == 1


@scenario
def kept_volumes_outlive_a_cancel() -> None:
    deleted: list[object] = []
    provider = SimpleNamespace(
        delete_volumes=lambda *_: deleted.append("volumes"), clean_up=lambda *_: deleted.append("rest")
    )
    world = World(
        provider=provider,
        plan=replace(PLAN, workflow="delete", deletes_volumes=True),
        store=SimpleNamespace(state=SimpleNamespace(nodes={}), write_snapshot=lambda: None),
    )
    append = world.journal.append

    def slow_end(event_type: str, message: str, **fields: Any) -> None:
        if event_type == "stage.finished":
            world.is_free.clear()
        append(event_type, message, **fields)

    setattr(world.journal, "append", slow_end)  # noqa: B010
    world.run_steps_with(lambda *_: True)
    running = gevent.spawn(task._run_stages, world.context)
    world.saw("stage.finished succeeded")
    world.stopping.stop("cancelled")
    world.is_free.set()
    assert running.get(timeout=60) == "cancelled"
    assert deleted == []


@scenario
def nodes_that_load_a_deploy_at_once_get_all_of_it() -> None:
    file = Path(tempfile.mkdtemp()) / "web.py"
    file.write_text("import time\ntime.sleep(0.2)\ndef deploy(): pass\n")
    loading = [gevent.spawn(_function, file, "deploy", "m::c.create") for _ in range(3)]
    assert {one.get(timeout=60).__name__ for one in loading} == {"deploy"}


@scenario
def a_stopped_step_loses_none_of_its_output() -> None:
    world = World()
    reporter, other = StepReporter(world.journal, ACTION), StepReporter(world.journal, replace(ACTION, number="1.2"))
    reporter.started()
    while world.log._file.unsynced < MOST_UNSYNCED_BYTES - 5000:
        other._write_output("stdout", ["y" * 2000], 0)
    world.is_free.clear()
    lines = ["o1" * 995, "e1" * 995, "o2" * 995, "the failed command's last line"]
    for stream, line in zip([*STREAMS, *STREAMS], lines, strict=True):
        reporter.output(stream, line)
    # The writer of the output waits for the disk in the middle of it, and the step is stopped.
    with gevent.Timeout(60):
        while world.log._file.unsynced < MOST_UNSYNCED_BYTES:
            gevent.sleep(0.01)
    ending = gevent.spawn(reporter.finished, "cancelled", changed=False)
    gevent.sleep(0.1)
    world.is_free.set()
    ending.get(timeout=60)
    mine = [one for one in world.events if one.get("step") == "1.1"]
    assert [line for one in mine for line in one.get("lines", [])] == lines
    assert mine[-1]["type"] == "step.finished"


@scenario
def a_login_that_completes_while_it_is_stopped_leaves_no_connection() -> None:
    complete, closed = Event(), Event()
    connection = SimpleNamespace(host_key=None, await_loss=sleeps, close=closed.set)
    setattr(process, "reach", lambda *_, **__: complete.wait())  # noqa: B010
    setattr(process, "SshConnection", lambda *_: connection)  # noqa: B010
    shard = process.Shard(cast(Wire, SimpleNamespace(send=lambda *_: None)))
    shard._take(Open(1, "a", Connection("h"), Patience(), False, "/none", [], []), b"")
    gevent.sleep(0.1)
    complete.set()
    shard._take(End(1), b"")
    assert closed.wait(timeout=60)
    assert not shard._connections

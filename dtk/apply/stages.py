"""Runs a stage: its nodes in parallel within the limits; after a failure, the running steps finish."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import gevent
from gevent.event import Event
from gevent.pool import Group

from dtk.apply.concurrency import Window
from dtk.apply.nodes.machines import CHANGES, MachineBatch
from dtk.apply.session.task_context import TaskContext
from dtk.apply.steps import run_actions, run_step
from dtk.model.plan import Stage, Step

_LONGEST_BUSY_SECONDS = 0.02
"""Another step starts after this time at the latest, in seconds, however busy this process is."""


def run_stage(context: TaskContext, stage: Stage) -> str:
    """Run a stage and return its status: ``succeeded``, ``failed`` or ``cancelled``.

    After a failure, running steps finish, but steps that wait because of a limit (``max_in_flight`` of the stage or of
    their group) do not start: whoever limits the number of nodes in progress wants no further failures.
    """
    began = time.monotonic()
    context.journal.append("stage.started", f"stage {stage.number}: {stage.name}", stage=stage.number)
    statuses = _run_steps(context, stage)
    status = _combined(context, stage, statuses)
    seconds = round(time.monotonic() - began, 3)
    message = f"stage {stage.number} {status}"
    context.journal.append("stage.finished", message, stage=stage.number, status=status, seconds=seconds)
    return status


def _run_steps(context: TaskContext, stage: Stage) -> list[str]:
    leaves = list(stage.leaves())
    statuses: list[str] = []
    machines = [step for step in leaves if step.type in CHANGES]
    running = Group()
    # The target itself handles concurrency for machines: it receives all of them in one call.
    for step, batch in _machine_work(context, machines):
        running.spawn(lambda step, batch: statuses.append(_run_machine(context, step, batch)), step, batch)
    _run_within(context, stage, [step for step in leaves if step.type not in CHANGES], statuses)
    running.join()
    return statuses


def _run_within(context: TaskContext, stage: Stage, steps: Sequence[Step], statuses: list[str]) -> None:
    """Run steps within the limits of the stage and of their groups; append the status of each to ``statuses``."""
    window, running, left = Window(stage, steps), Group(), Event()

    def run(step: Step) -> None:
        try:
            statuses.append(run_step(context, step, partial(run_actions, context)))
        finally:
            window.leave(step)
            left.set()

    waiting = list(steps)
    while waiting:
        step = window.next(waiting)
        if step is None:
            # Nothing yields between the two lines, and greenlets switch only when one yields: no event is missed.
            left.clear()
            left.wait()
            continue
        # All canaries are running: they must succeed before any other step begins.
        if len(steps) - len(waiting) == stage.canary:
            running.join()
        if context.stopping.reason or "failed" in statuses:
            break
        waiting.remove(step)
        window.enter(step)
        running.spawn(run, step)
        _let_running_steps_go_on()
    running.join()


def _let_running_steps_go_on() -> None:
    """Wait, but not for long, until running steps have nothing to do at present, before another one starts.

    Thousands that start at once and advance in turn need twice the memory, and a third more CPU time.
    """
    with gevent.Timeout(_LONGEST_BUSY_SECONDS, False):
        gevent.idle()


def _run_machine(context: TaskContext, step: Step, batch: MachineBatch) -> str:
    try:
        return run_step(context, step, batch.run)
    finally:
        batch.leave(step)


def _machine_work(context: TaskContext, machines: list[Step]) -> Iterator[tuple[Step, MachineBatch]]:
    for kind in CHANGES:
        steps = [step for step in machines if step.type == kind]
        batch = MachineBatch(context, steps)
        yield from ((step, batch) for step in steps)


def _combined(context: TaskContext, stage: Stage, statuses: list[str]) -> str:
    """Return the stage's status: cancelled if any step is, otherwise failed if any is (docs/original.md 5.4)."""
    if "cancelled" in statuses or context.stopping.reason == "cancelled":
        return "succeeded" if statuses == ["succeeded"] * len(list(stage.leaves())) else "cancelled"
    return "failed" if "failed" in statuses or context.stopping.reason else "succeeded"

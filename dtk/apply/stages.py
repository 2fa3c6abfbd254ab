"""Runs a stage: its nodes at once, as many as it allows, so that one that fails does not take the others with it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial

from gevent.pool import Pool

from dtk.apply.context import TaskContext
from dtk.apply.machines import CHANGES, MachineBatch
from dtk.apply.steps import run_actions, run_step
from dtk.model.plan import Stage, Step


def run_stage(context: TaskContext, stage: Stage) -> str:
    """Run a stage and return its status: ``succeeded``, ``failed`` or ``cancelled``.

    After a failure the steps that run finish; those that wait for their turn (``max_in_flight``) do not start: who
    limits how many nodes are worked on at once wants the first failure to be the last.
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
    # Machines are the target's own business: it is asked for all of them at once.
    pool = Pool(max(len(machines) + in_flight(stage.max_in_flight, len(leaves) - len(machines)), 1))
    for step, batch in _machine_work(context, machines):
        pool.spawn(lambda step, batch: statuses.append(_run_machine(context, step, batch)), step, batch)
    others = [step for step in leaves if step.type not in CHANGES]
    for number, step in enumerate(others):
        pool.wait_available()
        if number == stage.canary:
            pool.join()
        if context.stopping.reason or "failed" in statuses:
            break
        pool.spawn(lambda step: statuses.append(run_step(context, step, partial(run_actions, context))), step)
    pool.join()
    return statuses


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


def in_flight(limit: int | str | None, steps: int) -> int:
    """Return how many of a stage's steps may run at once.

    Args:
        limit: a number, a share like ``25%`` (rounded up), or None for no limit.
        steps: how many the stage has.
    """
    if limit is None:
        return steps
    if isinstance(limit, str) and limit.endswith("%"):
        return max(math.ceil(steps * float(limit[:-1]) / 100), 1)
    return max(int(limit), 1)


def _combined(context: TaskContext, stage: Stage, statuses: list[str]) -> str:
    """A stage is cancelled when any of its steps is, then failed (original-dtk.md 3.4)."""
    if "cancelled" in statuses or context.stopping.reason == "cancelled":
        return "succeeded" if statuses == ["succeeded"] * len(list(stage.leaves())) else "cancelled"
    return "failed" if "failed" in statuses or context.stopping.reason else "succeeded"

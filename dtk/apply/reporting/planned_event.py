"""The first event of a task: the whole tree of steps, so that the log alone is enough to render the task."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dtk.events.log import EventLog
from dtk.model.author import Author
from dtk.model.json_data import Json, JsonObject
from dtk.model.names import RESET, group_of
from dtk.model.plan import Plan, Stage, Step


def next_command(plan: Plan) -> str:
    """Return the command that continues after a task of this plan has ended early."""
    if plan.destroys:
        return f"dtk delete-and-destroy {plan.service}{' --delete-volumes' if plan.deletes_volumes else ''}"
    if plan.workflow == RESET:
        return f"dtk destroy-and-reset-nodes {plan.service}"
    if not plan.workflow:
        verb = "start" if plan.task_type == "power_on_nodes" else "stop"
        return " ".join(["dtk", verb, plan.service, *plan.only])
    if plan.leaves_unfinished:
        return f"dtk exec {plan.service} {plan.workflow}{''.join(f' {name}=…' for name in plan.parameters)}"
    return f"dtk apply {plan.service} --resume"


def write_planned(log: EventLog, plan: Plan, number: int, by: Author) -> None:
    """Write the ``task.planned`` event of a plan's task, with its author.

    Raises:
        LogWriteError: the event can't be written.
    """
    fields: dict[str, Any] = {**_fields(plan, number), "by": by.document()}
    log.append("task.planned", f"task {number} of '{plan.service}': {plan.task_type}", **fields)


def _fields(plan: Plan, number: int) -> JsonObject:
    sizes = Counter(group_of(change.node) for change in plan.nodes)
    return {
        "service": plan.service,
        "task": number,
        "assembly": plan.assembly,
        "task_type": plan.task_type,
        "workflow": plan.workflow,
        "target": str(plan.target.get("name", "")),
        "plan_digest": plan.digest,
        "dtk_version": plan.dtk_version,
        "pid": os.getpid(),
        "next_command": next_command(plan),
        "stages": [_stage_fields(stage, sizes) for stage in plan.stages],
    }


def _stage_fields(stage: Stage, sizes: Mapping[str, int]) -> JsonObject:
    return {"number": stage.number, "name": stage.name, "steps": [_step_fields(step, sizes) for step in stage.steps]}


def _step_fields(step: Step, sizes: Mapping[str, int]) -> JsonObject:
    actions = [action for leaf in step.leaves() for action in leaf.actions]
    fields: JsonObject = {
        "number": step.number,
        "type": step.type,
        "node": step.node,
        "components": _unique(action.component for action in actions),
        "reason": step.reason,
        "steps": [_step_fields(member, sizes) for member in step.steps],
    }
    if step.steps:
        fields["group_size"] = sizes.get(step.node, 0)
    if step.type in ("action", "nodegroup actions"):
        fields["actions"] = _unique(f"{action.component}.{action.action}" for action in actions)
    return fields


def _unique(names: Iterable[str]) -> list[Json]:
    return list(dict.fromkeys(names))

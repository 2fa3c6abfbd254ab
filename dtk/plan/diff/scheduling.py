"""Which actions of a workflow to run (the changed, those left by a failed task, or all) and why.

Plain actions (smoke tests) run whenever there is anything else to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dtk.model.names import CREATE
from dtk.plan.diff.changes import Changes
from dtk.plan.diff.recomputed import RecomputedValues
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.workflow.actions import plan_action
from dtk.plan.workflow.stages import StagedAction, StageOutline


def scheduled_outlines(request: PlanRequest, outlines: Sequence[StageOutline], changes: Changes) -> list[StageOutline]:
    """Return the stages with the actions to run; stages without any are left out."""
    if _is_whole(request):
        return list(outlines)
    kept = [_kept(request, outline, changes) for outline in outlines]
    return [outline for outline in kept if outline.per_node]


def _is_whole(request: PlanRequest) -> bool:
    """Return whether a plan contains every step, regardless of changes."""
    return request.scope == "all" or (request.workflow != CREATE and request.scope != "resume")


def _kept(request: PlanRequest, outline: StageOutline, changes: Changes) -> StageOutline:
    per_node = [
        (node, tuple(action for action in actions if _is_scheduled(request, action, changes)))
        for node, actions in outline.per_node
    ]
    return replace(outline, per_node=tuple(entry for entry in per_node if entry[1]))


def _is_scheduled(request: PlanRequest, action: StagedAction, changes: Changes) -> bool:
    if action.action != CREATE:
        return acts(request, action, changes.recomputed, busy=changes.busy)
    if request.scope == "resume" and _succeeded_before(request, action, changes.recomputed):
        return False
    change = changes.of(action)
    return request.workflow != CREATE or (change is not None and change.change != "unchanged")


def acts(request: PlanRequest, action: StagedAction, recomputed: RecomputedValues, *, busy: bool) -> bool:
    """Return whether an action other than create runs: if there is other work and a resumed task has not done it."""
    if _is_whole(request):
        return True
    return busy and not (request.scope == "resume" and _succeeded_before(request, action, recomputed))


def _succeeded_before(request: PlanRequest, action: StagedAction, recomputed: RecomputedValues) -> bool:
    unfinished = request.unfinished
    if unfinished is None or action.key not in unfinished.succeeded:
        return False
    return unfinished.succeeded[action.key] == plan_action(action, recomputed.of(action), ()).input_digest


def reasons_of(request: PlanRequest, action: StagedAction, changes: Changes) -> tuple[str, ...]:
    """Return why an action is in the plan."""
    change = changes.of(action)
    if action.action == CREATE and change is not None and change.reasons:
        return change.reasons
    unfinished = request.unfinished
    if unfinished is not None and action.key not in unfinished.succeeded:
        return (f"not done in task {unfinished.task}",)
    if request.workflow != CREATE:
        return (f"run by {request.workflow}",)
    return ("all steps were requested",) if request.scope == "all" else ("runs whenever something changes",)

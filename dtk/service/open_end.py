"""Whether the last task was cut off, so that there is something to finish although nothing is left to do."""

from __future__ import annotations

from dtk.apply.reporting.planned_event import next_command
from dtk.model.plan import Plan
from dtk.service.task_log import last_task
from dtk.state.workspace import Workspace


def was_cut_off(workspace: Workspace, service: str) -> bool:
    """Say whether the last task of a service did not succeed, and no task runs."""
    last = last_task(workspace, service)
    return last is not None and last.status in ("failed", "cancelled")


def finishes_last_task(workspace: Workspace, plan: Plan, *, resumes: bool = False) -> bool:
    """Say whether an empty plan is what the last task left to do: it was killed after its last step.

    Such a plan is run all the same: the state and the log then say that all is done.

    Args:
        workspace: the workspace.
        plan: a plan without steps.
        resumes: it was asked for as the rest of the last task.
    """
    last = last_task(workspace, plan.service)
    if last is None or last.status not in ("failed", "cancelled") or last.next_command != next_command(plan):
        return False
    # A plan that powers nodes has no workflow; which nodes it is limited to is in its command.
    is_whole = not plan.workflow or not (plan.only or plan.exclude)
    return resumes or bool(plan.resumes) or (is_whole and plan.workflow == last.workflow)

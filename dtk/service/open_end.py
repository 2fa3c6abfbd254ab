"""Whether the last task was interrupted, so that it must be finished although no steps are left."""

from __future__ import annotations

from dtk.apply.reporting.planned_event import next_command
from dtk.model.plan import Plan
from dtk.service.task_log import last_task
from dtk.state.workspace import Workspace


def was_cut_off(workspace: Workspace, service: str) -> bool:
    """Return whether the last task of a service ended without success."""
    last = last_task(workspace, service)
    return last is not None and last.status in ("failed", "cancelled")


def finishes_last_task(workspace: Workspace, plan: Plan, *, resumes: bool = False) -> bool:
    """Return whether an empty plan finishes the last task, which was killed after its last step.

    Such a plan is run anyway, so that the state and the log record that everything is done.

    Args:
        workspace: the workspace.
        plan: a plan without steps.
        resumes: whether the plan was requested as the rest of the last task.
    """
    last = last_task(workspace, plan.service)
    if last is None or last.status not in ("failed", "cancelled") or last.next_command != next_command(plan):
        return False
    # A power plan has no workflow; its command includes the nodes it is limited to.
    is_whole = not plan.workflow or not (plan.only or plan.exclude)
    return resumes or bool(plan.resumes) or (is_whole and plan.workflow == last.workflow)

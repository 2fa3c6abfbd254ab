"""Resumption of the last task as it was requested: its workflow, its selection, the rounds of machines it replaced."""

from __future__ import annotations

from dataclasses import replace

from dtk.errors import UsageError
from dtk.model.names import CREATE, RESET
from dtk.model.selection import Selection
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.rounds import rounds_left


def left_unfinished(request: PlanRequest) -> int:
    """Return the number of the unfinished converge that remains after this request's workflow, 0 for none."""
    last = request.state.unfinished
    left = last.of(CREATE) if last else None
    return left.task if left and request.workflow not in ("", CREATE) else 0


def resumed(request: PlanRequest) -> PlanRequest:
    """Complete a resume request with the settings of the unfinished task; return any other request unchanged.

    Raises:
        UsageError: there is nothing to resume, or the last task can't be resumed.
    """
    if request.scope != "resume":
        return request
    last = request.state.unfinished
    unfinished = (last.of(CREATE) or last) if last else None
    if unfinished is None:
        raise UsageError(
            f"nothing to resume: the last task of '{request.service.name}' succeeded, or it has no task",
            hint=f"dtk plan {request.service.name}",
        )
    if unfinished.workflow == RESET:
        hint = f"dtk destroy-and-reset-nodes {request.service.name}, or dtk apply {request.service.name}"
        raise UsageError("the last task terminated nodes, which cannot be resumed", hint=hint)
    selection = Selection(tuple(unfinished.only), tuple(unfinished.exclude))
    return replace(
        request,
        workflow=unfinished.workflow,
        parameters=unfinished.parameters,
        selection=selection,
        replaces=rounds_left(request.state, unfinished),
        forced=unfinished.forced,
    )

"""``dtk apply``: does what a plan says, or plans a service and does that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import DetachOption, ExcludeOption, LockWaitOption, OnlyOption, YesOption, seconds
from dtk.cli.running import changing, run_plan, show_and_ask
from dtk.errors import InvalidError, UsageError
from dtk.model.plan import Plan
from dtk.model.selection import Selection
from dtk.plan.document import from_text
from dtk.plan.resolve.request import Scope
from dtk.service.context import chosen_service, current_workspace
from dtk.service.open_end import was_cut_off
from dtk.service.planning import check_digest, check_plan, make_plan, read_inputs
from dtk.state.store import load_state
from dtk.state.workspace import Workspace


def apply(
    what: Annotated[
        str | None, typer.Argument(metavar="[PLANFILE|SERVICE]", help="A plan made with dtk plan --out, or a service.")
    ] = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with what failed last: do what has not succeeded with the same input."),
    ] = False,
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Do what a plan says, and follow it.

    A PLANFILE is applied as it is, or refused when the state, the service, the modules or dtk have moved on (exit code
    5) or somebody edited it (3). For a SERVICE the plan is made, shown and asked about. ^C or SIGTERM cancels the task,
    a second one stops it at once.
    Example: dtk apply plan.json
    """
    workspace = current_workspace()
    planned = _read_plan(what) if what and _is_file(workspace, what) else None
    selection = Selection(tuple(only or ()), tuple(exclude or ()))
    if planned and (resume or selection):
        reason = "--resume makes its own plan" if resume else "what to do is said in the plan's file"
        raise UsageError(reason, hint="name the service instead of the plan's file")
    if resume and selection:
        raise UsageError("--resume goes on with what the last task was for", hint="leave --only and --exclude out")
    if not planned:
        _check_known(workspace, what)
    service = chosen_service(workspace, planned.service if planned else what)
    with changing(workspace, service, f"dtk apply {service}", seconds(lock_wait)) as change:
        if planned:
            plan, inputs = planned, read_inputs(workspace, service)
            check_plan(plan, inputs)
            change.refuse_unknown(inputs, strict=False)
        else:
            scope: Scope = "resume" if resume and _has_rest(workspace, service) else "changes"
            plan, inputs = make_plan(workspace, service, scope=scope, selection=selection)
            change.refuse_unknown(inputs, strict=False)
            show_and_ask(plan, ask=not yes)
        run_plan(inputs, plan, change, detach=detach, resumes=resume)


def _has_rest(workspace: Workspace, service: str) -> bool:
    """Say whether the state tells what is to be resumed: not after a task that was killed once all of it was done."""
    state = load_state(workspace.state_file(service))
    return (state is not None and state.unfinished is not None) or not was_cut_off(workspace, service)


def _is_file(workspace: Workspace, what: str) -> bool:
    """A service's name wins over a file of the same name: plan files have endings or paths."""
    return what not in workspace.service_names() and Path(what).is_file()


def _check_known(workspace: Workspace, what: str | None) -> None:
    if what and what not in workspace.service_names() and ("." in what or "/" in what):
        raise UsageError(f"no plan file '{what}'", hint="make one: dtk plan SERVICE --out FILE")


def _read_plan(file: str) -> Plan:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        hint = "make one: dtk plan SERVICE --out FILE"
        raise InvalidError(f"{file} is not a plan: it is no text", hint=hint) from None
    plan = from_text(text, file)
    check_digest(plan, file)
    return plan

"""``dtk apply``: applies a plan, or plans a service and applies that plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dtk.cli.early_worker import is_first_task
from dtk.cli.following import Following
from dtk.cli.options import (
    DetachOption,
    ExcludeOption,
    JunitOption,
    LiveOutputOption,
    LockWaitOption,
    OnlyOption,
    ReportOption,
    VerboseOption,
    WorkersOption,
    YesOption,
    seconds,
    worker_count,
)
from dtk.cli.passphrases import ask_passphrases_for
from dtk.cli.running import Change, changing, run_plan, show_and_ask
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.errors import InvalidError, UsageError
from dtk.model.plan import Plan
from dtk.model.selection import Selection
from dtk.plan.document import from_text
from dtk.plan.resolve.request import Scope
from dtk.service.context import chosen_service, current_workspace
from dtk.service.open_end import was_cut_off
from dtk.service.planning import Inputs, check_digest, check_plan, make_plan, read_inputs
from dtk.service.saved_plans import fetch_plan
from dtk.state.store import load_state
from dtk.state.workspace import Workspace

if TYPE_CHECKING:
    from dtk.refresh.node_drift import Drift


_ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Continue the last task: run only what has not succeeded with the same input.")
]
_RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="First check the target and the nodes for drift, and fix it, too.")
]


def apply(  # noqa: PLR0913, PLR0917 - one parameter per option
    what: Annotated[
        str | None, typer.Argument(metavar="[PLANFILE|SERVICE]", help="A plan made with dtk plan --out, or a service.")
    ] = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    workers: WorkersOption = "",
    resume: _ResumeOption = False,
    refresh: _RefreshOption = False,
    saved: Annotated[
        str, typer.Option("--plan", metavar="DIGEST", help="Apply the plan that dtk plan --save wrote to the store.")
    ] = "",
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    lock_wait: LockWaitOption = "0s",
    output: LiveOutputOption = False,
    verbose: VerboseOption = 0,
    junit: JunitOption = None,
    report: ReportOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event of the task as one line of JSON.")] = False,
) -> None:
    """Apply a plan and follow the task.

    A PLANFILE is applied as it is. It is refused if the state, the service, the modules or dtk have changed since
    (exit code 5), or if somebody edited it (3). For a SERVICE, dtk makes a plan, shows it and asks. ^C or SIGTERM
    cancels the task; a second one stops it at once.
    Example: dtk apply plan.json
    """
    files = TaskFiles(junit, report)
    how = Following(detach=detach, events=as_json, output=output, verbosity=verbose, files=files)
    how.check()
    with files_of_refusals(how.files, what or ""):
        workspace = current_workspace()
        planned = _given_plan(workspace, what, saved)
        options = _ApplyOptions(Selection(tuple(only or ()), tuple(exclude or ())), resume, refresh, yes)
        options.check(planned)
        if not planned:
            _check_known(workspace, what)
        service = chosen_service(workspace, planned.service if planned else what)
        # If the service has machines, there may be nothing to do, and a worker would be started for nothing.
        is_sure = bool(planned) or is_first_task(workspace, service, yes=yes)
        words = f"dtk apply {service}"
        with changing(
            workspace, service, words, seconds(lock_wait), is_sure=is_sure, workers=worker_count(workers)
        ) as change:
            if planned:
                _apply_file(planned, read_inputs(workspace, service), change, how)
            else:
                _apply_service(workspace, service, change, options, how)


@dataclass(frozen=True)
class _ApplyOptions:
    """The options for applying a service."""

    selection: Selection
    resumes: bool
    refresh: bool
    yes: bool

    def check(self, planned: Plan | None) -> None:
        if self.resumes and self.refresh:
            raise UsageError("--resume cannot be used with --refresh", hint="omit --refresh")
        if planned and (self.resumes or self.refresh or self.selection):
            own = "--resume" if self.resumes else "--refresh" if self.refresh else ""
            reason = f"{own or '--only and --exclude'} cannot be used with a plan file"
            raise UsageError(reason, hint="name the service instead of the file")
        if self.resumes and self.selection:
            raise UsageError("--resume continues all of the last task", hint="omit --only and --exclude")


def _apply_file(planned: Plan, inputs: Inputs, change: Change, how: Following) -> None:
    check_plan(planned, inputs)
    change.refuse_unknown(inputs, strict=False)
    run_plan(inputs, planned, change, how)


def _apply_service(workspace: Workspace, service: str, change: Change, options: _ApplyOptions, how: Following) -> None:
    scope: Scope = "resume" if options.resumes and _has_rest(workspace, service) else "changes"
    if options.refresh:
        plan, inputs = _refreshed(workspace, service, options.selection, how)
    else:
        plan, inputs = make_plan(workspace, service, scope=scope, selection=options.selection, asks_target=True)
        change.refuse_unknown(inputs, strict=False)
    show_and_ask(plan, ask=not options.yes, is_shown=not how.is_data)
    run_plan(inputs, plan, change, how, resumes=options.resumes)


def _refreshed(workspace: Workspace, service: str, selection: Selection, how: Following) -> tuple[Plan, Inputs]:
    from dtk.service.refresh import noted_plan  # noqa: PLC0415 - queries the nodes, unlike a plain apply

    def report(drift: Drift) -> None:
        typer.echo(f"Found: {drift.node}: {drift.what}", err=how.is_data)

    ask_passphrases_for(read_inputs(workspace, service))
    return noted_plan(workspace, service, "changes", selection, report)


def _given_plan(workspace: Workspace, what: str | None, saved: str) -> Plan | None:
    """Return the plan that the command line names by digest or file, or None if a plan must be made."""
    if not saved:
        return _read_plan(what) if what and _is_file(workspace, what) else None
    plan = fetch_plan(workspace, saved)
    if what not in (None, plan.service):
        raise UsageError(f"plan {saved} is for service '{plan.service}'", hint=f"dtk apply --plan {saved}")
    return plan


def _has_rest(workspace: Workspace, service: str) -> bool:
    """Return whether to resume from the state; it has nothing to resume if a task was killed after its last step."""
    state = load_state(workspace.state_file(service))
    return (state is not None and state.unfinished is not None) or not was_cut_off(workspace, service)


def _is_file(workspace: Workspace, what: str) -> bool:
    """Return whether ``what`` is a plan file; a service of that name wins: plan files have suffixes or paths."""
    return what not in workspace.service_names() and Path(what).is_file()


def _check_known(workspace: Workspace, what: str | None) -> None:
    if what and what not in workspace.service_names() and ("." in what or "/" in what):
        raise UsageError(f"no plan file '{what}'", hint="make one: dtk plan SERVICE --out FILE")


def _read_plan(file: str) -> Plan:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        hint = "make one: dtk plan SERVICE --out FILE"
        raise InvalidError(f"{file} is not a plan: it is not text", hint=hint) from None
    plan = from_text(text, file)
    check_digest(plan, file)
    return plan

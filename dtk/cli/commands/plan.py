"""``dtk plan``: makes a plan and shows it; writes only the file it is asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dtk.cli.forge import summarize
from dtk.cli.options import ChangedSinceOption, ExcludeOption, JsonOption, OnlyOption, ServiceArgument
from dtk.cli.output import print_json, write_file
from dtk.cli.plan_form import PlanForm, PlanOrError
from dtk.cli.services import chosen_services
from dtk.errors import DtkError, UsageError
from dtk.model.plan import Plan
from dtk.model.selection import Selection
from dtk.plan.document import to_text
from dtk.plan.resolve.request import Scope
from dtk.plan.rounds import Replacement
from dtk.service.context import chosen_service, current_workspace
from dtk.service.holding import holding
from dtk.service.planning import make_plan, read_inputs
from dtk.service.saved_plans import save_plan
from dtk.service.shared_store import read_state
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.views.plan_markdown import plan_markdown

if TYPE_CHECKING:
    from dtk.refresh.node_drift import Drift

CHANGES = 10

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write plan.json, for dtk apply FILE.")]
AllOption = Annotated[
    bool,
    typer.Option("--all", help="With a SERVICE: plan all stages, changed or not. Without one: plan every service."),
]

_SaveOption = Annotated[bool, typer.Option("--save", help="Save it in the shared store, for dtk apply --plan DIGEST.")]
_ReplaceOption = Annotated[
    list[str] | None,
    typer.Option("--replace", metavar="NODE", help="Replace the machines of this node or group; may be repeated."),
]
_RefreshOption = Annotated[bool, typer.Option("--refresh", help="First check the target and the nodes for drift.")]


def plan(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: ServiceArgument = None,
    out: OutOption = None,
    save: _SaveOption = False,
    every_step: AllOption = False,
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    replaced: _ReplaceOption = None,
    refresh: _RefreshOption = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 10 when there are changes, 0 when there are none.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Instead, list services that have a state or machines but no service.yaml."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    max_chars: Annotated[
        int | None,
        typer.Option("--max-chars", metavar="N", min=1, help="Fold the Markdown so that it fits a comment: 65536."),
    ] = None,
    changed_since: ChangedSinceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what apply would do, and why.

    --only and --exclude accept slaves, slaves:1, spark::worker, slaves/spark::worker or the name of a stage. The
    same input always gives the same plan. Example: dtk plan dask1 --out plan.json
    """
    workspace = current_workspace()
    if prune:
        raise typer.Exit(_list_gone(workspace, as_json=as_json))
    form = PlanForm(as_json, markdown, max_chars)
    form.check(out)
    scope: Scope = "all" if every_step else "changes"
    asks = _PlanWish(
        scope,
        Selection(tuple(only or ()), tuple(exclude or ())),
        refresh,
        save,
        out is not None or save,
        Replacement(tuple(replaced)) if replaced else None,
    )
    asks.check()
    if changed_since is not None or (every_step and not service and "DTK_SERVICE" not in os.environ):
        _refuse_for_all(out or save, asks.selection, service if changed_since is not None else None)
        code = _plan_all(workspace, changed_since, form, replace(asks, scope="changes"))
    else:
        code = _plan_one(workspace, chosen_service(workspace, service), form, asks, out)
    raise typer.Exit(code if detailed_exitcode or code != CHANGES else 0)


@dataclass(frozen=True)
class _PlanWish:
    """What to plan for a service; ``is_noted``: whether the findings of a refresh are written to the state."""

    scope: Scope
    selection: Selection
    refresh: bool
    save: bool
    is_noted: bool
    replacement: Replacement | None = None

    def check(self) -> None:
        if self.replacement and (self.selection or self.refresh or self.scope == "all"):
            raise UsageError("--replace cannot be used with --all, --only, --exclude or --refresh", hint="omit them")

    def plan(self, workspace: Workspace, name: str, form: PlanForm) -> Plan:
        if self.refresh:
            return _refreshed(workspace, name, self, to_stderr=form.is_document)
        return make_plan(workspace, name, scope=self.scope, selection=self.selection, replacement=self.replacement)[0]


def _plan_one(workspace: Workspace, name: str, form: PlanForm, asks: _PlanWish, out: Path | None) -> int:
    made = asks.plan(workspace, name, form)
    typer.echo(form.text(made), nl=False)
    summarize(lambda: plan_markdown(made))
    if out:
        write_file(out, to_text(made))
        if not form.is_document:
            typer.echo(f"Written to {out}; next: dtk apply {os.fspath(out)}")
    if asks.save:
        digest = save_plan(workspace, made)
        typer.echo(f"Saved in the store; next: dtk apply --plan {digest}", err=form.is_document)
    if not asks.refresh and not made.serial and not _has_state(workspace, name):
        typer.echo("no state in this workspace: everything is planned as new", err=True)
    return CHANGES if made.drift or not made.is_empty else 0


def _plan_all(workspace: Workspace, changed_since: str | None, form: PlanForm, asks: _PlanWish) -> int:
    """Plan every service, or every changed one; one that can't be planned does not hide the others."""
    found = [_plan_or_error(workspace, name, form, asks) for name in chosen_services(workspace, changed_since)]
    typer.echo(form.text_of_all(found), nl=False)
    for one in found:
        if one.error:
            typer.echo(f"error: {one.service}: {one.error}", err=True)
    summarize(lambda: PlanForm(markdown=True).text_of_all(found))
    errors = [one.error.exit_code for one in found if one.error]
    return errors[0] if errors else CHANGES if any(one.has_changes for one in found) else 0


def _plan_or_error(workspace: Workspace, name: str, form: PlanForm, asks: _PlanWish) -> PlanOrError:
    try:
        read_state(workspace, name)
        return PlanOrError(name, asks.plan(workspace, name, form))
    except DtkError as error:
        return PlanOrError(name, error=error)


def _refuse_for_all(out: Path | bool | None, selection: Selection, service: str | None) -> None:
    if out or selection or service:
        what = "a service" if service else "--out, --save, --only or --exclude"
        raise UsageError(f"--all cannot be used with {what}", hint="print all plans: dtk plan --all --json")


def _has_state(workspace: Workspace, name: str) -> bool:
    state = load_state(workspace.state_file(name))
    return state is not None and bool(state.nodes or state.last_task)


def _list_gone(workspace: Workspace, *, as_json: bool) -> int:
    """List what is left of services without a file, with the command that destroys it; return the exit code."""
    from dtk.service.gone import gone_services  # noqa: PLC0415 - queries the targets, unlike a plain plan

    found = gone_services(workspace)
    if as_json:
        rows = [
            {
                "service": one.name,
                "id": one.lineage,
                "nodes_in_state": len(one.state.nodes) if one.state else 0,
                "machines": [machine.id for machine in one.machines],
            }
            for one in found
        ]
        print_json(rows)
        return 0
    for one in found:
        nodes = len(one.state.nodes) if one.state else 0
        typer.echo(
            f"{one.name}: no service.yaml; {nodes} nodes in the local state, {len(one.machines)} marked machines"
        )
        typer.echo(f"  to destroy it: dtk delete-and-destroy {one.name}")
    if not found:
        typer.echo("Nothing to prune: every service with a state or machines has a service.yaml.")
    return 0


def _refreshed(workspace: Workspace, service: str, asks: _PlanWish, *, to_stderr: bool) -> Plan:
    """Return the plan after a refresh; if the plan is kept for an apply, record the findings in the state."""
    from dtk.cli.passphrases import ask_passphrases_for  # noqa: PLC0415 - queries a target, as below
    from dtk.service.refresh import noted_plan, refreshed_plan  # noqa: PLC0415 - queries a target, unlike a plain plan

    def report(drift: Drift) -> None:
        typer.echo(f"Found: {drift.node}: {drift.what}", err=to_stderr)

    ask_passphrases_for(read_inputs(workspace, service))
    if not asks.is_noted:
        return refreshed_plan(workspace, service, asks.scope, asks.selection, report)
    with holding(workspace, service, f"dtk plan {service} --refresh", None):
        return noted_plan(workspace, service, asks.scope, asks.selection, report)[0]

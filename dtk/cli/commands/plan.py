"""``dtk plan``: computes and shows; touches nothing but the file it is asked to write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dtk.cli.forge import summarize
from dtk.cli.options import ExcludeOption, JsonOption, OnlyOption, ServiceArgument
from dtk.cli.output import print_json, use_color, write_file
from dtk.errors import UsageError
from dtk.model.plan import Plan
from dtk.model.selection import Selection
from dtk.plan.document import to_document, to_text
from dtk.plan.resolve.request import Scope
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import make_plan
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.views.plan_markdown import plan_markdown
from dtk.views.plan_text import plan_json, plan_text

if TYPE_CHECKING:
    from dtk.refresh.node_drift import Drift

CHANGES = 10

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write plan.json, for dtk apply FILE.")]
AllOption = Annotated[bool, typer.Option("--all", help="Hold every stage, not only what changed.")]


def plan(  # noqa: PLR0913, PLR0917 - a command has the options it has
    service: ServiceArgument = None,
    out: OutOption = None,
    every_step: AllOption = False,
    only: OnlyOption = None,
    exclude: ExcludeOption = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First ask the target how the nodes are, and the nodes what would change.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 10 when there are changes, 0 when there are none.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="List the services that have a state or machines and no file any more, instead."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    max_chars: Annotated[
        int | None,
        typer.Option("--max-chars", metavar="N", min=1, help="Fold the Markdown so that it fits a comment: 65536."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what apply would do, and why.

    --only and --exclude take slaves, slaves:1, spark::worker, slaves/spark::worker or a stage's name.
    The same modules, service and state give the same plan, to the byte. Example: dtk plan dask1 --out plan.json
    """
    workspace = current_workspace()
    if prune:
        raise typer.Exit(_list_gone(workspace, as_json=as_json))
    form = _Form(as_json, markdown, max_chars)
    form.check(out)
    name, selection = chosen_service(workspace, service), Selection(tuple(only or ()), tuple(exclude or ()))
    scope: Scope = "all" if every_step else "changes"
    made = (
        _refreshed(workspace, name, scope, selection, to_stderr=form.is_document)
        if refresh
        else make_plan(workspace, name, scope=scope, selection=selection)[0]
    )
    typer.echo(form.text(made), nl=False)
    summarize(plan_markdown(made))
    if out:
        write_file(out, to_text(made))
        if not form.is_document:
            typer.echo(f"Written to {out}; next: dtk apply {os.fspath(out)}")
    if not refresh and not made.serial and not _has_state(workspace, name):
        typer.echo("no state here: everything counts as new", err=True)
    if detailed_exitcode and (made.drift or not made.is_empty):
        raise typer.Exit(CHANGES)


@dataclass(frozen=True)
class _Form:
    """How a plan is printed: for people unless it is said otherwise."""

    as_json: bool
    markdown: bool
    max_chars: int | None

    def check(self, out: Path | None) -> None:
        if self.as_json and self.markdown:
            raise UsageError("--json and --markdown are two forms of the same", hint="choose one")
        if self.max_chars and not self.markdown:
            raise UsageError("--max-chars is for Markdown", hint="dtk plan --markdown --max-chars 65536")
        if out and str(out) == "-":
            raise UsageError("--out takes a file: standard output has the plan already", hint="dtk plan --json")

    @property
    def is_document(self) -> bool:
        """Whether standard output is for programs."""
        return self.as_json or self.markdown

    def text(self, plan: Plan) -> str:
        if self.as_json:
            return plan_json(plan, to_document(plan))
        return plan_markdown(plan, self.max_chars) if self.markdown else plan_text(plan, color=use_color())


def _has_state(workspace: Workspace, name: str) -> bool:
    state = load_state(workspace.state_file(name))
    return state is not None and bool(state.nodes or state.last_task)


def _list_gone(workspace: Workspace, *, as_json: bool) -> int:
    """List what is left of services whose file is gone, and how to end it; return the exit code."""
    from dtk.service.gone import gone_services  # noqa: PLC0415 - asks the targets, which plan alone never does

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
        typer.echo(f"{one.name}: no service.yaml; {nodes} nodes in the state here, {len(one.machines)} marked machines")
        typer.echo(f"  to end it: dtk delete-and-destroy {one.name}")
    if not found:
        typer.echo("Nothing to prune: every service that has a state or machines has its file.")
    return 0


def _refreshed(workspace: Workspace, service: str, scope: Scope, selection: Selection, *, to_stderr: bool) -> Plan:
    from dtk.service.refresh import refreshed_plan  # noqa: PLC0415 - asks a target, which plan alone never does

    def report(drift: Drift) -> None:
        typer.echo(f"Found: {drift.node}: {drift.what}", err=to_stderr)

    return refreshed_plan(workspace, service, scope, selection, report)

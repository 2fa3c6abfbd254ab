"""``dtk plan``: computes and shows; touches nothing but the file it is asked to write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dtk.cli.context import chosen_service, current_workspace
from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.planning import make_plan
from dtk.model.plan import Plan
from dtk.plan.compile import Scope
from dtk.plan.document import to_document, to_text
from dtk.state.files import replace_file
from dtk.state.workspace import Workspace
from dtk.views.plan_text import plan_json, plan_text

if TYPE_CHECKING:
    from dtk.apply.drift import Drift

CHANGES = 2

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write plan.json, for dtk apply FILE.")]
AllOption = Annotated[bool, typer.Option("--all", help="Hold every stage, not only what changed.")]


def plan(
    service: ServiceArgument = None,
    out: OutOption = None,
    every_step: AllOption = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First ask the target how the nodes are, and the nodes what would change.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 when there are changes, 0 when there are none.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what apply would do, and why.

    The same modules, service and state give the same plan, to the byte. Example: dtk plan dask1 --out plan.json
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    scope: Scope = "all" if every_step else "changes"
    made = (
        _refreshed(workspace, name, scope, to_stderr=as_json) if refresh else make_plan(workspace, name, scope=scope)[0]
    )
    typer.echo(plan_json(made, to_document(made)) if as_json else plan_text(made), nl=False)
    if out:
        replace_file(out, to_text(made))
        if not as_json:
            typer.echo(f"Written to {out}; next: dtk apply {os.fspath(out)}")
    if detailed_exitcode and (made.drift or not made.is_empty):
        raise typer.Exit(CHANGES)


def _refreshed(workspace: Workspace, service: str, scope: Scope, *, to_stderr: bool) -> Plan:
    from dtk.cli.refresh import refreshed_plan  # noqa: PLC0415 - asks a target, which plan alone never does

    def tell(drift: Drift) -> None:
        typer.echo(f"Found: {drift.node}: {drift.what}", err=to_stderr)

    return refreshed_plan(workspace, service, scope, tell)

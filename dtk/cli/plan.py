"""``dtk plan``: computes and shows; touches nothing but the file it is asked to write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.context import chosen_service, current_workspace
from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.planning import make_plan
from dtk.plan.document import to_document, to_text
from dtk.state.files import replace_file
from dtk.state.workspace import Workspace
from dtk.views.plan_text import plan_json, plan_text

CHANGES = 2

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write plan.json, for dtk apply FILE.")]
AllOption = Annotated[bool, typer.Option("--all", help="Hold every stage, not only what changed.")]


def plan(
    service: ServiceArgument = None,
    out: OutOption = None,
    every_step: AllOption = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="First ask the target how the nodes are, and note it in the state.")
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
    if refresh:
        _refresh(workspace, name, to_stderr=as_json)
    made, _ = make_plan(workspace, name, scope="all" if every_step else "changes")
    typer.echo(plan_json(made, to_document(made)) if as_json else plan_text(made), nl=False)
    if out:
        replace_file(out, to_text(made))
        if not as_json:
            typer.echo(f"Written to {out}; next: dtk apply {os.fspath(out)}")
    if detailed_exitcode and not made.is_empty:
        raise typer.Exit(CHANGES)


def _refresh(workspace: Workspace, service: str, *, to_stderr: bool) -> None:
    from dtk.cli.refresh import refresh  # noqa: PLC0415 - asks a target, which plan alone never does

    for drift in refresh(workspace, service):
        typer.echo(f"Found: {drift.node}: {drift.what}", err=to_stderr)

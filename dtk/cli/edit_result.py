"""What a command prints once it changed a service's file."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json, shown_path
from dtk.plan.compile import resolve
from dtk.service.planning import read_inputs
from dtk.state.workspace import Workspace


def print_edit_result(workspace: Workspace, service: str, *, as_json: bool = False) -> None:
    """Say that a service's file was changed, and what to do next: mend what is missing, else plan."""
    problems = resolve(read_inputs(workspace, service).request()).problems
    if as_json:
        file = str(workspace.service_file(service).relative_to(workspace.root))
        print_json({"status": "OK", "service": service, "file": file, "violations": [str(p) for p in problems]})
        return
    typer.echo("Status: OK")
    changed = f"changed {shown_path(workspace.service_file(service))}"
    if problems:
        many = f"{len(problems)} violation{'s' if len(problems) > 1 else ''}"
        typer.echo(f"{changed}; {many} to mend before it can be planned: dtk list-violations {service}")
    else:
        typer.echo(f"{changed}; next: dtk plan {service}")

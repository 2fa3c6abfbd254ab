"""What a command prints after it has changed a service's file."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json, shown_path
from dtk.model.value import SHORTEST_HIDDEN
from dtk.plan.compile import resolve_for_plan
from dtk.service.attribute_value import short_hidden_values
from dtk.service.planning import Inputs, read_inputs
from dtk.state.workspace import Workspace


def warn_of_short_values(inputs: Inputs) -> None:
    """Warn on standard error about hidden values of a service that are too short to be removed from logs."""
    for path in short_hidden_values(inputs):
        what = f"'{path}' is hidden, but values shorter than {SHORTEST_HIDDEN} characters are not removed from logs"
        typer.echo(f"warning: {what}; declare it secret, or use a longer value", err=True)


def print_edit_result(workspace: Workspace, service: str, *, as_json: bool = False) -> None:
    """Report that a service's file was changed, and what to do next: fix violations, or plan."""
    inputs = read_inputs(workspace, service)
    warn_of_short_values(inputs)
    problems = resolve_for_plan(inputs.request()).problems
    if as_json:
        file = str(workspace.service_file(service).relative_to(workspace.root))
        print_json({"status": "OK", "service": service, "file": file, "violations": [str(p) for p in problems]})
        return
    typer.echo("Status: OK")
    changed = f"changed {shown_path(workspace.service_file(service))}"
    if problems:
        many = f"{len(problems)} violation{'s' if len(problems) > 1 else ''}"
        typer.echo(f"{changed}; fix {many} before you plan: dtk list-violations {service}")
    else:
        typer.echo(f"{changed}; next: dtk plan {service}")

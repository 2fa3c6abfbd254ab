"""``dtk list-violations``: what prevents a service from being planned."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.cli.wizard import ask_and_set
from dtk.errors import Problem
from dtk.model.json_data import Json
from dtk.plan.compile import resolve_for_plan
from dtk.plan.resolve.overrides import CONSTRAINT, ILLEGAL, REQUIRED
from dtk.plan.resolve.rows import all_attribute_rows
from dtk.plan.resolve.service import ResolvedService
from dtk.service.lookup import read_service
from dtk.service.planning import Inputs
from dtk.views.listing_table import format_table

ASKED_FOR = (REQUIRED, ILLEGAL)
"""The kinds of violations that setting a value fixes; others are only listed (docs/original.md 2.3)."""


def list_violations(
    service: ServiceArgument = None,
    fix: Annotated[bool, typer.Option("--fix", help="Ask for what is missing or wrong, and set it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what must be fixed before a service can run.

    Each violation is shown with the command that fixes it. The exit code is 0 even if there are violations.
    Example: dtk list-violations dask1 --fix
    """
    inputs, found = read_service(service)
    problems = resolve_for_plan(inputs.request()).problems
    if as_json:
        print_json([_document(problem) for problem in problems])
        return
    rows = [[problem.kind or CONSTRAINT, problem.description] for problem in problems]
    typer.echo(format_table(["type", "description"], rows), nl=False)
    if fix and problems:
        _fix(inputs, found, [problem for problem in problems if problem.kind in ASKED_FOR])
        return
    for command in dict.fromkeys(problem.fix for problem in problems if problem.fix):
        typer.echo(f"next: {command}")


def _document(problem: Problem) -> dict[str, Json]:
    location = str(problem.location) if problem.location else None
    kind = problem.kind or CONSTRAINT
    return {"type": kind, "description": problem.description, "location": location, "fix": problem.fix}


def _fix(inputs: Inputs, found: ResolvedService, problems: list[Problem]) -> None:
    rows = all_attribute_rows(found)
    paths = {problem.fix.split()[3] for problem in problems if problem.fix and "--unset" not in problem.fix}
    ask_and_set(inputs, [row for row in rows if row.path in paths])

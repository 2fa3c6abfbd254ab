"""``dtk test``: runs the test cases of modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from dtk.cases.case import Case, cases_of, differences
from dtk.cases.case import update as write_expected
from dtk.dsl.catalog import load_catalog
from dtk.dsl.module import is_module
from dtk.errors import DtkError, UsageError
from dtk.service.context import current_workspace


def run_tests(
    module: Annotated[str | None, typer.Argument(metavar="[MODULE]", help="Only this module (ns:name).")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Also apply each case on local nodes.")] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Update the expected files, for review in the diff.")
    ] = False,
) -> None:
    """Run the test cases of modules: compare plans and, with --apply, run tasks on local nodes.

    Cases are the folders tests/NAME of a module. Exit code 1 if one fails. Example: dtk test acme:web
    """
    cases = _cases(module)
    if update:
        for case in cases:
            typer.echo(f"{case.name}: {', '.join(write_expected(case)) or 'unchanged'}")
        return
    failed = [case for case in cases if not _passes(case, "plan", differences)]
    if apply:
        from dtk.cases.applied import failure  # noqa: PLC0415 - only with --apply

        failed += [case for case in cases if not _passes(case, "apply", failure)]
    typer.echo(f"{len(cases)} case{'' if len(cases) == 1 else 's'}, {len(failed)} failed")
    if failed:
        raise typer.Exit(DtkError.exit_code)


def _cases(module: str | None) -> list[Case]:
    workspace = current_workspace()
    catalog = load_catalog(workspace)
    own = sorted(f"{one.parent.name}/{one.name}" for one in workspace.modules.glob("*/*") if is_module(one))
    cases = []
    for name in [module] if module else own:
        found = catalog.find(name)
        cases += cases_of(found, catalog.with_dependencies(name))
    if module and not cases:
        raise UsageError(
            f"module '{module}' has no cases", hint="create a folder tests/NAME that contains a service.yaml"
        )
    return cases


def _passes(case: Case, what: str, check: Callable[[Case], str]) -> bool:
    try:
        wrong = check(case)
    except DtkError as error:
        wrong = f"{error}\n"
    typer.echo(f"{'FAILED' if wrong else 'ok'} {case.name} ({what})")
    if wrong:
        typer.echo("".join(f"  {line}\n" for line in wrong.splitlines()), nl=False)
    return not wrong

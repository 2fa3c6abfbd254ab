"""``dtk validate``: everything that is wrong with a workspace, told at once; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.context import current_workspace, print_json
from dtk.cli.options import JsonOption
from dtk.cli.planning import read_inputs
from dtk.dsl.catalog import load_catalog
from dtk.dsl.module import load_module
from dtk.dsl.workspace import load_workspace
from dtk.errors import InvalidError, Problem, UsageError
from dtk.plan.compile import resolve
from dtk.state.workspace import Workspace


def validate(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[MODULE_FOLDER]", help="Only the module in this folder.", file_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check modules, services and dtk.yaml; list every mistake.

    Exit code 3 when there is one. Example: dtk validate modules/acme/web
    """
    checked = [*_module_checks(folder)] if folder else [*_workspace_checks(current_workspace())]
    problems = [problem for _, check in checked for problem in _problems(check)]
    if as_json:
        print_json({"checked": [name for name, _ in checked], "problems": [_document(p) for p in problems]})
        raise typer.Exit(InvalidError.exit_code if problems else 0)
    if problems:
        raise InvalidError(f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}", problems)
    typer.echo(f"Valid: {', '.join(name for name, _ in checked)}")


def _module_checks(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    if not (folder / "dtk.module.yaml").is_file():
        raise UsageError(f"no dtk.module.yaml in {folder}")
    yield str(folder), lambda: load_module(folder, Path.cwd())


def _workspace_checks(workspace: Workspace) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "dtk.yaml", lambda: load_workspace(workspace.file, workspace.root)
    catalog = load_catalog(workspace)
    for file in sorted(workspace.modules.glob("*/*/dtk.module.yaml")):
        name = "/".join(file.parts[-3:-1])
        yield f"module {name}", lambda name=name: catalog.find(name)  # type: ignore[misc]
    for name in workspace.service_names():
        yield f"service {name}", lambda name=name: _resolved(workspace, name)  # type: ignore[misc]


def _resolved(workspace: Workspace, name: str) -> None:
    problems = resolve(read_inputs(workspace, name).request()).problems
    if problems:
        raise InvalidError(f"service '{name}' has violations", problems)


def _problems(check: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        check()
    except InvalidError as error:
        return error.problems or (Problem(error.message),)
    return ()


def _document(problem: Problem) -> dict[str, object]:
    place = problem.location
    return {
        "message": problem.message,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "path": problem.path,
        "expected": problem.expected,
        "nearest": problem.nearest,
    }

"""``dtk validate``: reports all errors in a workspace at once; writes only the schemas for editors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.forge import annotate, in_repository
from dtk.cli.options import JsonOption
from dtk.cli.output import print_json, write_file
from dtk.dsl.catalog import Catalog, load_catalog
from dtk.dsl.check.warnings import module_warnings
from dtk.dsl.module import is_module, load_module
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.modeline import provide_schemas
from dtk.errors import InvalidError, Problem, UsageError
from dtk.model.names import module_name
from dtk.plan.compile import resolve_for_plan
from dtk.service.context import current_workspace
from dtk.service.planning import read_inputs
from dtk.state.workspace import Workspace
from dtk.views.ci.annotation import problem_annotations


def validate(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[MODULE]", help="Only this module: its name or folder.", file_okay=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    code_quality: Annotated[
        Path | None,
        typer.Option("--code-quality", metavar="FILE", help="Also write a code-quality report for GitLab."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check modules, services and dtk.yaml, and list every mistake.

    Warns about attributes that nothing uses, dynamic attributes that no action sets, and components in no stage.
    Exit code 3 if there is a mistake. Example: dtk validate modules/acme/web --strict
    """
    warnings: list[Problem] = []
    if folder is None:
        with suppress(OSError):  # a read-only workspace can be checked, too
            provide_schemas(current_workspace())
    checked = [*_module_checks(folder, warnings)] if folder else [*_workspace_checks(current_workspace(), warnings)]
    problems = list(dict.fromkeys(problem for _, check in checked for problem in _problems(check)))
    problems += warnings if strict else []
    shown = [] if strict else warnings
    if code_quality:
        write_file(code_quality, _code_quality(problems, shown))
    if as_json:
        found = {"problems": [_document(p) for p in problems], "warnings": [_document(w) for w in warnings]}
        print_json({"checked": [name for name, _ in checked], **found})
        raise typer.Exit(InvalidError.exit_code if problems else 0)
    for warning in shown:
        typer.echo(f"warning: {warning}", err=True)
    annotate(lambda: problem_annotations(shown, is_warning=True), "warnings")
    if problems:
        raise InvalidError(f"{len(problems)} mistake{'s' if len(problems) > 1 else ''}", problems)
    typer.echo(f"Valid: {', '.join(name for name, _ in checked)}")


def _code_quality(problems: list[Problem], warnings: list[Problem]) -> str:
    from dtk.views.ci.gitlab import code_quality_text  # noqa: PLC0415 - only when requested

    found = [*problem_annotations(problems), *problem_annotations(warnings, is_warning=True)]
    return code_quality_text([in_repository(one) for one in found])


def _module_checks(folder: Path, warnings: list[Problem]) -> Iterator[tuple[str, Callable[[], object]]]:
    if not is_module(folder):
        folder = _named(folder)
    yield str(folder), lambda: warnings.extend(module_warnings(load_module(folder, Path.cwd())))


def _named(given: Path) -> Path:
    """Return the folder of a module that is given by its name, such as ``acme:web``.

    Raises:
        UsageError: it is neither a name nor a folder of a module.
    """
    name = module_name(str(given))
    found = current_workspace().modules / name if name else None
    if found is None or not is_module(found):
        raise UsageError(f"no dtk.module.yaml in {given}", hint="dtk validate checks all modules of this workspace")
    return found


def _workspace_checks(workspace: Workspace, warnings: list[Problem]) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "dtk.yaml", lambda: load_workspace(workspace.file, workspace.root)
    catalog = load_catalog(workspace)
    for name in sorted(f"{one.parent.name}/{one.name}" for one in workspace.modules.glob("*/*") if is_module(one)):
        yield f"module {name}", lambda name=name: warnings.extend(_warnings(catalog, name))  # type: ignore[misc]
    for name in workspace.service_names():
        yield f"service {name}", lambda name=name: _resolved(workspace, name)  # type: ignore[misc]


def _warnings(catalog: Catalog, name: str) -> list[Problem]:
    modules = catalog.with_dependencies(name)
    return module_warnings(modules[name], modules.values())


def _resolved(workspace: Workspace, name: str) -> None:
    problems = resolve_for_plan(read_inputs(workspace, name).request()).problems
    if problems:
        raise InvalidError(f"service '{name}' has violations", problems)


def _problems(check: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        check()
    except InvalidError as error:
        return error.problems or (Problem(error.message),)
    return ()


def _document(problem: Problem) -> dict[str, object]:
    location = problem.location
    return {
        "message": problem.message,
        "file": location.file if location else None,
        "line": location.line if location else None,
        "column": location.column if location else None,
        "path": problem.path,
        "expected": problem.expected,
        "nearest": problem.nearest,
    }

"""``dtk deploy``: stage, plan and apply in one go."""

from __future__ import annotations

import sys

import typer

from dtk.cli.edit_result import warn_of_short_values
from dtk.cli.following import Following
from dtk.cli.options import (
    AssemblyArgument,
    DetachOption,
    JunitOption,
    LiveOutputOption,
    NameArgument,
    ReportOption,
    SetOption,
    TargetOption,
    ValuesOption,
    VerboseOption,
    WorkersOption,
    worker_count,
)
from dtk.cli.running import changing, run_plan
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.cli.wizard import fill_in
from dtk.dsl.yaml.edit import set_attributes
from dtk.errors import InvalidError
from dtk.model.json_data import ReadOnlyObject
from dtk.plan.compile import resolve_for_plan
from dtk.plan.resolve.rows import all_attribute_rows
from dtk.plan.resolve.violations import way_to_fix
from dtk.service.context import current_workspace
from dtk.service.planning import Inputs, make_plan, read_inputs
from dtk.service.staging import read_settings, stage_service
from dtk.state.workspace import Workspace
from dtk.views.plan_text import summary_line


def deploy(  # noqa: PLR0913, PLR0917 - one parameter per option
    assembly: AssemblyArgument,
    name: NameArgument,
    target: TargetOption = None,
    settings: SetOption = None,
    values: ValuesOption = None,
    detach: DetachOption = False,
    workers: WorkersOption = "",
    output: LiveOutputOption = False,
    verbose: VerboseOption = 0,
    junit: JunitOption = None,
    report: ReportOption = None,
) -> None:
    """Stage, plan and apply an assembly.

    Example: dtk deploy dtk:dask/cluster dask1 --detach
    """
    workspace = current_workspace()
    how = Following(detach=detach, output=output, verbosity=verbose, files=TaskFiles(junit, report))
    how.check()
    with files_of_refusals(how.files, name):
        count = worker_count(workers)
        _deploy(workspace, assembly, name, target, read_settings(settings or [], values), how, count)


def _deploy(
    workspace: Workspace,
    assembly: str,
    name: str,
    target: str | None,
    settings: ReadOnlyObject,
    how: Following,
    workers: int | None,
) -> None:
    stage_service(workspace, assembly, name, target, settings)
    typer.echo(f"Service instance '/service/{name}' has been created!")
    _complete(read_inputs(workspace, name))
    warn_of_short_values(read_inputs(workspace, name))
    with changing(workspace, name, f"dtk deploy {assembly} {name}", 0, is_sure=True, workers=workers) as change:
        plan, inputs = make_plan(workspace, name, asks_target=True)
        change.refuse_unknown(inputs, strict=False)
        typer.echo(summary_line(plan))
        run_plan(inputs, plan, change, how)


def _complete(inputs: Inputs) -> None:
    """Ask at a terminal for missing required attributes, as the original did.

    Raises:
        InvalidError: the service can't be planned as it is, and there is no terminal to ask.
    """
    found = resolve_for_plan(inputs.request())
    missing = [row for row in all_attribute_rows(found) if row.is_missing]
    name = inputs.service.name
    if missing and sys.stdin.isatty():
        set_attributes(inputs.workspace.service_file(name), fill_in(inputs, missing))
    elif found.problems:
        hint = f"{way_to_fix(name, found.problems)}; then dtk apply {name}"
        raise InvalidError(f"service '{name}' is staged, but cannot be planned", found.problems, hint=hint)

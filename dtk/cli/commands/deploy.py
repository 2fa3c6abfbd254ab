"""``dtk deploy``: stage, plan and apply in one go."""

from __future__ import annotations

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
)
from dtk.cli.running import changing, run_plan
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.model.json_data import ReadOnlyObject
from dtk.service.context import current_workspace
from dtk.service.planning import make_plan, read_inputs
from dtk.service.staging import read_settings, stage_service
from dtk.state.workspace import Workspace
from dtk.views.plan_text import summary_line


def deploy(  # noqa: PLR0913, PLR0917 - a command has the options it has
    assembly: AssemblyArgument,
    name: NameArgument,
    target: TargetOption = None,
    settings: SetOption = None,
    values: ValuesOption = None,
    detach: DetachOption = False,
    output: LiveOutputOption = False,
    junit: JunitOption = None,
    report: ReportOption = None,
) -> None:
    """Stage, plan and apply an assembly in one go.

    Example: dtk deploy dtk:dask/cluster dask1 --detach
    """
    workspace = current_workspace()
    how = Following(detach=detach, output=output, files=TaskFiles(junit, report))
    how.check()
    with files_of_refusals(how.files, name):
        _deploy(workspace, assembly, name, target, read_settings(settings or [], values), how)


def _deploy(
    workspace: Workspace, assembly: str, name: str, target: str | None, settings: ReadOnlyObject, how: Following
) -> None:
    stage_service(workspace, assembly, name, target, settings)
    warn_of_short_values(read_inputs(workspace, name))
    typer.echo(f"Service instance '/service/{name}' has been created!")
    with changing(workspace, name, f"dtk deploy {assembly} {name}", 0) as change:
        plan, inputs = make_plan(workspace, name)
        change.refuse_unknown(inputs, strict=False)
        typer.echo(summary_line(plan))
        run_plan(inputs, plan, change, how)

"""``dtk stage``: writes the file of a new service."""

from __future__ import annotations

import typer

from dtk.cli.edit_result import warn_of_short_values
from dtk.cli.options import AssemblyArgument, JsonOption, NameArgument, SetOption, TargetOption, ValuesOption
from dtk.cli.output import print_json, shown_path
from dtk.service.context import current_workspace
from dtk.service.planning import read_inputs
from dtk.service.staging import read_settings, stage_service


def stage(
    assembly: AssemblyArgument,
    name: NameArgument,
    target: TargetOption = None,
    settings: SetOption = None,
    values: ValuesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a service instance from an assembly, without running anything.

    Writes services/NAME/service.yaml. Example: dtk stage dtk:dask/cluster dask1 --set slaves/cardinality=3
    """
    workspace = current_workspace()
    stage_service(workspace, assembly, name, target, read_settings(settings or [], values))
    warn_of_short_values(read_inputs(workspace, name))
    if as_json:
        file = str(workspace.service_file(name).relative_to(workspace.root))
        print_json({"new_service_instance": {"name": name, "file": file}})
        return
    typer.echo(f"new_service_instance:\n  name: {name}\n  file: {shown_path(workspace.service_file(name))}")
    typer.echo(f"next: dtk plan {name}")

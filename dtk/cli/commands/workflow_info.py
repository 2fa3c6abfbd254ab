"""``dtk workflow-info``: shows a workflow as written in its module."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.dsl.yaml.document import read_document
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.module import Workflow
from dtk.model.names import CREATE
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.service import ResolvedService
from dtk.service.lookup import read_service, service_and_words
from dtk.service.planning import Inputs
from dtk.views.yaml_text import yaml_text


def workflow_info(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE] [WORKFLOW]", help="The workflow. Default: create.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a workflow as written in its module.

    Example: dtk workflow-info dask1 create
    """
    service, rest = service_and_words(words or [], 0, 1, "dtk workflow-info [SERVICE] [WORKFLOW]")
    inputs, found = read_service(service)
    document = _workflow_document(inputs, found, rest[0] if rest else CREATE)
    if as_json:
        print_json(document)
    else:
        typer.echo(yaml_text(document), nl=False)


def _workflow_document(inputs: Inputs, found: ResolvedService, name: str) -> dict[str, Json]:
    workflows = found.topology.assembly.workflows
    if name in workflows:
        return {name: _written(inputs, workflows[name])}
    if name == CREATE:
        raise UsageError(
            "the assembly has no create workflow: dtk derives the stages from its links", hint="dtk plan --all"
        )
    hint = did_you_mean(name, workflows, "dtk list-workflows")
    raise UsageError(f"no workflow '{name}' in service '{inputs.service.name}'", hint=hint)


def _written(inputs: Inputs, workflow: Workflow) -> Any:
    """Return a workflow as written in its module's file, at the location that the loader recorded."""
    document = read_document(inputs.workspace.root / workflow.location.file)
    for path, span in document.keys.items():
        if span.location.line == workflow.location.line and path[-1] == workflow.name:
            value = document.data
            for key in path:
                value = value[key]
            return value
    raise UsageError(f"workflow '{workflow.name}' is no longer at {workflow.location}", hint="dtk validate")

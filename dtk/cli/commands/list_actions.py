"""``dtk list-actions``, ``dtk list-workflows`` and ``dtk workflow-info``: what a service can do."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.dsl.yaml.document import read_document
from dtk.errors import UsageError
from dtk.model.module import Workflow
from dtk.model.names import CREATE, DELETE, component_path, group_of
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.service import Present
from dtk.plan.resolve.topology import Instance
from dtk.service.inspected import read_service, service_and_words
from dtk.service.planning import Inputs
from dtk.views.listing import format_table
from dtk.views.plan_entries import members_text
from dtk.views.yaml_text import yaml_text

FEW_MEMBERS = 2
"""Up to so many members of a group are listed one by one (docs/original.md 3.2)."""


class ActionType(StrEnum):
    """Which actions are listed."""

    SERVICE = "service"
    COMPONENT = "component"


def list_actions(
    service: ServiceArgument = None,
    type_: Annotated[
        ActionType | None, typer.Option("--type", "-t", help="Only workflows (service), or components' actions.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what dtk exec can run: workflows and components' actions.

    A group's run on all its members, or on one.

    Example: dtk list-actions dask1 -t component
    """
    _, found = read_service(service)
    rows = [row for row in action_rows(found) if type_ is None or row[1].startswith(type_.value)]
    if as_json:
        print_json([{"action": name, "type": kind} for name, kind in rows])
    else:
        typer.echo(format_table(["action_name", "action_type"], rows), nl=False)


def action_rows(found: Present) -> list[tuple[str, str]]:
    """Return every action's name and type: the service's workflows, then the components' by name."""
    workflows = dict.fromkeys([CREATE, *found.topology.assembly.workflows])
    components = sorted({row for instance in found.topology.instances.values() for row in _actions(found, instance)})
    return [*((name, "service") for name in workflows), *components]


def _actions(found: Present, instance: Instance) -> Iterator[tuple[str, str]]:
    component = component_path(_shown_node(found, instance), str(instance.name))
    yield component, "component_create"
    for action in instance.component.actions:
        if action not in (CREATE, DELETE):
            yield f"{component}.{action}", "component_action"


def _shown_node(found: Present, instance: Instance) -> str:
    group = group_of(instance.node)
    members = [node for node, wanted in found.topology.nodes.items() if wanted.group == group]
    if len(members) <= FEW_MEMBERS:
        return instance.node
    return members_text(members)


def list_workflows(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """List a service's workflows.

    Example: dtk list-workflows dask1
    """
    _, found = read_service(service)
    names = list(found.topology.assembly.workflows) or [CREATE]
    if as_json:
        print_json(names)
    else:
        typer.echo(
            format_table(["id", "workflow_name"], [[i, name] for i, name in enumerate(names, start=1)]), nl=False
        )


def workflow_info(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE] [WORKFLOW]", help="The workflow; else create.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a workflow as its module writes it.

    Example: dtk workflow-info dask1 create
    """
    service, rest = service_and_words(words or [], 0, 1, "dtk workflow-info [SERVICE] [WORKFLOW]")
    inputs, found = read_service(service)
    document = _workflow_document(inputs, found, rest[0] if rest else CREATE)
    if as_json:
        print_json(document)
    else:
        typer.echo(yaml_text(document), nl=False)


def _workflow_document(inputs: Inputs, found: Present, name: str) -> dict[str, Any]:
    workflows = found.topology.assembly.workflows
    if name in workflows:
        return {name: _written(inputs, workflows[name])}
    if name == CREATE:
        raise UsageError("the assembly writes no create workflow: its stages follow from links", hint="dtk plan --all")
    hint = did_you_mean(name, workflows, "dtk list-workflows")
    raise UsageError(f"no workflow '{name}' in service '{inputs.service.name}'", hint=hint)


def _written(inputs: Inputs, workflow: Workflow) -> Any:
    """Return a workflow as it stands in its module's file, at the place that the loader noted."""
    document = read_document(inputs.workspace.root / workflow.location.file)
    for path, span in document.keys.items():
        if span.location.line == workflow.location.line and path[-1] == workflow.name:
            value = document.data
            for key in path:
                value = value[key]
            return value
    raise UsageError(f"workflow '{workflow.name}' is not where it was: {workflow.location}", hint="dtk validate")

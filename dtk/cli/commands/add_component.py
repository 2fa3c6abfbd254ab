"""``dtk add-component``: adds a component to a node, a group or the service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit_list import add_item, remove_item
from dtk.errors import UsageError
from dtk.model.names import component_path
from dtk.plan.resolve.rows import component_rows
from dtk.service.component_choice import check_title, component_on_node, find_component
from dtk.service.lookup import read_service, service_and_words
from dtk.views.listing_table import stable_id

WHERE = "[SERVICE] [NODE/]COMPONENT"


def add_component(
    words: Annotated[
        list[str],
        typer.Argument(metavar=WHERE, help="What to add, and where; some take a [title]."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Add a component to a node, a group or the service.

    Without a NODE, the component is assembly-wide. A namespace can precede it: namespace:module::component[title].
    Nodes change with the next apply.
    Example: dtk add-component dask1 master/gitarchive[mar01]
    """
    service, (text,) = service_and_words(words, 1, 1, f"dtk add-component {WHERE}")
    inputs, found = read_service(service)
    node, name = component_on_node(found, text)
    path = component_path(node, str(name))
    if any(row.path == path for row in component_rows(found)):
        raise UsageError(f"component '{path}' already exists", hint=f"dtk list-components {inputs.service.name}")
    component = find_component(inputs, name, text)
    check_title(component, name)
    file = inputs.workspace.service_file(inputs.service.name)
    if not remove_item(file, ("removed",), f"{node}/{name}"):
        add_item(file, ("components", node), str(name))
    if not as_json:
        typer.echo(f"component_id: {stable_id(path)}")
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)

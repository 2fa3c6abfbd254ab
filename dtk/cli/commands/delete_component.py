"""``dtk delete-component``: removes a component from a node, a group or the service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit_list import add_item, remove_item
from dtk.model.names import component_path
from dtk.service.component_choice import component_on_node
from dtk.service.edits import remove_settings
from dtk.service.lookup import component_row, read_service, service_and_words

WHERE = "[SERVICE] [NODE/]COMPONENT"


def delete_component(
    words: Annotated[list[str], typer.Argument(metavar=WHERE, help="What to remove, and from where.")],
    as_json: JsonOption = False,
) -> None:
    """Remove a component from a node, a group or the service.

    Its values and links are removed as well. The next apply runs its delete action, if it has one.
    Example: dtk delete-component dask1 master/gitarchive[mar01]
    """
    service, (text,) = service_and_words(words, 1, 1, f"dtk delete-component {WHERE}")
    inputs, found = read_service(service)
    node, name = component_on_node(found, text)
    row = component_row(found, component_path(node, str(name)), inputs.service.name)
    file = inputs.workspace.service_file(inputs.service.name)
    if not remove_item(file, ("components", node), str(name)):
        add_item(file, ("removed",), f"{node}/{name}")
    prefix = f"{row.path}/"
    member_of = f"{node}:"
    behind = f"/{name}/"
    remove_settings(inputs, lambda path: path.startswith(prefix) or (path.startswith(member_of) and behind in path))
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)

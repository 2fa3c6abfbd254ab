"""``dtk delete-node``: removes a node, a group or one member from a service."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit import set_attribute, unset_entry
from dtk.dsl.yaml.edit_list import add_item
from dtk.errors import UsageError
from dtk.model.names import group_of, split_member
from dtk.plan.resolve.cardinality import CARDINALITY
from dtk.plan.resolve.service import ResolvedService
from dtk.service.edits import remove_settings
from dtk.service.lookup import declared_node, read_service, service_and_words
from dtk.service.planning import Inputs


def delete_node(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] NODE", help="A node, a group, or a member.")],
    as_json: JsonOption = False,
) -> None:
    """Remove a node, a group or one member from a service.

    The next apply runs the components' delete actions and terminates the node. The other members keep their
    numbers: without slaves:2, three members are slaves:1, slaves:3 and slaves:4.
    Example: dtk delete-node dask1 slaves:2
    """
    service, (node,) = service_and_words(words, 1, 1, "dtk delete-node [SERVICE] NODE")
    inputs, found = read_service(service)
    group = declared_node(found, node)
    if split_member(node):
        _delete_member(inputs, found, group, node)
    else:
        _delete_declared(inputs, node)
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)


def _delete_member(inputs: Inputs, found: ResolvedService, group: str, member: str) -> None:
    """Delete a member: reduce the cardinality and, unless the member has the highest number, record its removal."""
    numbers = [planned.index for planned in found.topology.nodes.values() if planned.group == group]
    if len(numbers) == 1:
        hint = f"delete the whole group: dtk delete-node {inputs.service.name} {group}"
        raise UsageError(f"'{member}' is the only member of '{group}'", hint=hint)
    file = inputs.workspace.service_file(inputs.service.name)
    if found.topology.nodes[member].index != max(numbers):
        add_item(file, ("removed",), member)
    set_attribute(file, f"{group}/{CARDINALITY}", len(numbers) - 1)
    remove_settings(inputs, lambda path: path.startswith(f"{member}/"))


def _delete_declared(inputs: Inputs, node: str) -> None:
    file = inputs.workspace.service_file(inputs.service.name)
    if not unset_entry(file, "nodes", node):
        add_item(file, ("removed",), node)
    unset_entry(file, "components", node)
    remove_settings(inputs, lambda path: group_of(path.partition("/")[0]) == node and path != node)

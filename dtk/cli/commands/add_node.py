"""``dtk add-node``: adds a node, or a group of nodes, to a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.check.assembly_values import node_attributes
from dtk.dsl.template.assembly import is_value_template
from dtk.dsl.yaml.edit import set_entry
from dtk.dsl.yaml.edit_list import remove_item
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.names import ASSEMBLY_WIDE, is_node_name
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.cardinality import MOST_MEMBERS, checked_cardinality
from dtk.service.attribute_value import typed_node_value
from dtk.service.edits import check_edit
from dtk.service.lookup import read_service, service_and_words


def add_node(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] NAME", help="The new node's name.")],
    cardinality: Annotated[
        str | None, typer.Option("--cardinality", "-n", metavar="N", help="Make it a group with this many members.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A node attribute: size, image …")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a node, or a group of nodes, to a service.

    Add components with dtk add-component; the next apply creates the node. A deleted node of the assembly is
    restored. Example: dtk add-node dask1 workers --cardinality 2 --set size=large
    """
    service, (name,) = service_and_words(words, 1, 1, "dtk add-node [SERVICE] NAME")
    inputs, found = read_service(service)
    if not is_node_name(name) or name == ASSEMBLY_WIDE:
        raise UsageError(f"invalid node name '{name}': use letters, digits, _ and -, beginning with a letter")
    if name in found.topology.assembly.nodes:
        raise UsageError(f"node '{name}' already exists", hint=f"dtk list-nodes {inputs.service.name}")
    attributes = {**_group(cardinality), **_settings(name, settings or [], is_group=cardinality is not None)}
    file = inputs.workspace.service_file(inputs.service.name)
    if name in inputs.service.removed:
        if attributes:
            message = f"node '{name}' of the assembly is restored, and takes no --cardinality or --set"
            raise UsageError(message, hint="omit them, then run: dtk set-attribute NODE/NAME VALUE")
        remove_item(file, ("removed",), name)
    else:
        entry = {"attributes": attributes} if attributes else {}
        check_edit(inputs, lambda copy: set_entry(copy, "nodes", name, entry))
        set_entry(file, "nodes", name, entry)
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)


def _group(cardinality: str | None) -> dict[str, Json]:
    if cardinality is None:
        return {}
    try:
        return {"type": "group", "cardinality": checked_cardinality(int(cardinality))}
    except ValueError:
        hint = f"a group has 0 to {MOST_MEMBERS} members"
        raise UsageError("Invalid cardinality value", hint=hint) from None


def _settings(node: str, pairs: Sequence[str], *, is_group: bool) -> dict[str, object]:
    known = node_attributes(is_group=is_group)
    found: dict[str, object] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}: write NAME=VALUE")
        if name not in known:
            known_for_groups = name in node_attributes(is_group=True)
            message = f"'{name}' is for groups only" if known_for_groups else f"no attribute '{name}'"
            raise UsageError(message, hint=did_you_mean(name, known, f"valid attributes: {', '.join(known)}"))
        # Templates are checked with the service, which knows their variables.
        found[name] = value if is_value_template(value) else typed_node_value(known[name], f"{node}/{name}", value)
    return found

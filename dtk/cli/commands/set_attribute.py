"""``dtk set-attribute``: checked against the service, then written as one line of its file."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit import set_attribute as write_attribute
from dtk.dsl.yaml.edit import unset_attribute
from dtk.errors import UsageError
from dtk.model.suggestion import did_you_mean
from dtk.service.attribute_value import checked_value
from dtk.service.context import chosen_service, current_workspace
from dtk.service.lookup import service_and_words
from dtk.service.planning import Inputs, read_inputs

USAGE = "dtk set-attribute [SERVICE] PATH VALUE"


UNSET_USAGE = "dtk set-attribute [SERVICE] PATH --unset"


def set_attribute(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] PATH [VALUE]", help="What to set, and to what.")],
    unset: Annotated[bool, typer.Option("--unset", "-u", help="Remove the value: the assembly's applies.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Set an attribute of a service.

    Changes services/NAME/service.yaml; nothing happens to nodes before the next apply.
    Paths are attribute, node/attribute, node/component/attribute or component/attribute.
    Example: dtk set-attribute dask1 slaves/cardinality 4
    """
    count = 1 if unset else 2
    service, (path, *value) = service_and_words(words, count, count, UNSET_USAGE if unset else USAGE)
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    inputs = read_inputs(workspace, name)
    file = workspace.service_file(name)
    if unset:
        _unset(inputs, path)
    else:
        write_attribute(file, path, checked_value(inputs, path, value[0]))
    print_edit_result(workspace, name, as_json=as_json)


def _unset(inputs: Inputs, path: str) -> None:
    if not unset_attribute(inputs.workspace.service_file(inputs.service.name), path):
        hint = did_you_mean(path, inputs.service.attributes, f"dtk list-attributes {inputs.service.name}")
        raise UsageError(f"'{path}' is not set in service '{inputs.service.name}'", hint=hint)

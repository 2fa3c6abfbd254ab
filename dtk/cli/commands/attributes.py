"""``dtk set-attribute``: checked against the service, then written as one line of its file."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edited import say_changed
from dtk.cli.options import JsonOption
from dtk.dsl.build.attribute import SECRET_REFERENCE
from dtk.dsl.yaml.edit import set_attribute as write_attribute
from dtk.dsl.yaml.edit import unset_attribute
from dtk.errors import UsageError
from dtk.model.module import Attribute
from dtk.model.names import group_of
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.topology import Topology, build_topology, settable_paths, why_not_settable
from dtk.service.context import chosen_service, current_workspace
from dtk.service.inspected import service_and_words
from dtk.service.planning import Inputs, read_inputs
from dtk.service.typed_value import typed_node_value, typed_value

USAGE = "dtk set-attribute [SERVICE] PATH VALUE"
UNSET_USAGE = "dtk set-attribute [SERVICE] PATH --unset"
_REFERENCE = "give where it is: env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME"


def set_attribute(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] PATH [VALUE]", help="What to set, and to what.")],
    unset: Annotated[bool, typer.Option("--unset", "-u", help="Take the value away: the assembly's counts.")] = False,
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
    say_changed(workspace, name, as_json=as_json)


def _unset(inputs: Inputs, path: str) -> None:
    if not unset_attribute(inputs.workspace.service_file(inputs.service.name), path):
        hint = did_you_mean(path, inputs.service.attributes, f"dtk list-attributes {inputs.service.name}")
        raise UsageError(f"'{path}' is not set in service '{inputs.service.name}'", hint=hint)


def checked_value(inputs: Inputs, path: str, value: str) -> object:
    """Return a value as its attribute's type.

    Raises:
        UsageError: the path names nothing that can be set, or the value is not of its type.
    """
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    topology = build_topology(inputs.service, assembly, inputs.modules)
    paths = settable_paths(topology)
    if path not in paths:
        reason, near = why_not_settable(path, topology, paths)
        similar = f"; did you mean '{near}'?" if near else ""
        raise UsageError(f"{reason}{similar}", hint=f"dtk list-attributes {inputs.service.name}")
    if any(attribute.secret and not SECRET_REFERENCE.match(value) for attribute in _attributes_at(topology, path)):
        raise UsageError(f"'{path}' holds a secret, and is set to a reference to it", hint=_REFERENCE)
    if path.count("/") == 1 and group_of(path.partition("/")[0]) in topology.assembly.nodes:
        return typed_node_value(paths[path], path, value)
    return typed_value(paths[path], path, value, private=_is_hidden(topology, path))


def _is_hidden(topology: Topology, path: str) -> bool:
    return any(attribute.hidden or attribute.secret for attribute in _attributes_at(topology, path))


def _attributes_at(topology: Topology, path: str) -> list[Attribute]:
    """Return the attribute of the assembly, or those of components, that a path sets."""
    if path in topology.assembly.attributes:
        return [topology.assembly.attributes[path]]
    return [
        attribute
        for instance in topology.instances.values()
        for name, attribute in instance.component.attributes.items()
        if path in (instance.path(name), instance.declared_path(name))
    ]

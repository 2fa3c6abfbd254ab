"""``dtk set-attribute``: checked against the service, then written as one line of its file."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.context import chosen_service, current_workspace, shown_path
from dtk.cli.planning import Inputs, read_inputs
from dtk.dsl.edit import set_attribute as write_attribute
from dtk.dsl.names import nearest
from dtk.errors import UsageError
from dtk.model import types
from dtk.plan.topology import CARDINALITY, Topology, build_topology, settable_paths

USAGE = "dtk set-attribute [SERVICE] PATH VALUE"


def set_attribute(
    words: Annotated[list[str], typer.Argument(metavar="[SERVICE] PATH VALUE", help="What to set, and to what.")],
) -> None:
    """Set an attribute of a service.

    Changes services/NAME/service.yaml; nothing happens to nodes before the next apply.
    Paths are attribute, node/attribute, node/component/attribute or component/attribute.
    Example: dtk set-attribute dask1 slaves/cardinality 4
    """
    if len(words) not in (2, 3):
        raise UsageError(f"'{' '.join(words)}' is not a PATH and a VALUE", hint=USAGE)
    *service, path, value = words
    workspace = current_workspace()
    name = chosen_service(workspace, service[0] if service else None)
    inputs = read_inputs(workspace, name)
    write_attribute(workspace.service_file(name), path, checked_value(inputs, path, value))
    typer.echo("Status: OK")
    typer.echo(f"changed {shown_path(workspace.service_file(name))}; next: dtk plan {name}")


def checked_value(inputs: Inputs, path: str, value: str) -> object:
    """Return a value as its attribute's type.

    Raises:
        UsageError: the path names nothing that can be set, or the value is not of its type.
    """
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    topology = build_topology(inputs.service, assembly, inputs.modules)
    paths = settable_paths(topology)
    if path not in paths:
        node, separator, attribute = path.partition("/")
        if separator and "/" not in attribute and node in assembly.nodes and attribute != CARDINALITY:
            return value
        raise UsageError(_unknown(path, paths, topology), hint=f"dtk plan {inputs.service.name} shows what there is")
    try:
        typed = types.coerce(paths[path], value)
    except ValueError as error:
        raise UsageError(f"The provided value for '{path}' is not of type {paths[path]}: {error}") from None
    if path.endswith(f"/{CARDINALITY}") and typed < 1:
        raise UsageError("Value must be a positive integer")
    return typed


def _unknown(path: str, paths: dict[str, str], topology: Topology) -> str:
    for instance in topology.instances.values():
        for name, attribute in instance.component.attributes.items():
            if path in (instance.path(name), instance.declared_path(name)):
                what = "computed by its component" if attribute.dynamic else "a constant of its module"
                return f"'{path}' is {what} and can't be set"
    similar = nearest(path, paths)
    return f"no attribute '{path}'" + (f"; did you mean '{similar}'?" if similar else "")

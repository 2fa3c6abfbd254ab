"""``dtk add-component`` and ``dtk delete-component``: which components a service has besides its assembly's."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edited import forget, say_changed
from dtk.cli.options import JsonOption
from dtk.dsl.catalog import load_catalog
from dtk.dsl.yaml.edit_list import add_item, remove_item
from dtk.errors import UsageError
from dtk.model.module import Component
from dtk.model.names import ASSEMBLY_WIDE, ComponentName, component_path
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.service import Present, component_rows
from dtk.service.inspected import component_row, declared_node, read_service, service_and_words
from dtk.service.planning import Inputs

WHERE = "[SERVICE] [NODE/]COMPONENT"


def add_component(
    words: Annotated[
        list[str],
        typer.Argument(metavar=WHERE, help="What to add, and where; some take a [title]."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Add a component to a node, a group or the service.

    Without a NODE it is assembly-wide. A namespace may stand in front: namespace:module::component[title].
    Nothing happens to nodes before the next apply. Example: dtk add-component dask1 master/gitarchive[mar01]
    """
    service, (text,) = service_and_words(words, 1, 1, f"dtk add-component {WHERE}")
    inputs, found = read_service(service)
    node, name = _parsed(found, text)
    path = component_path(node, str(name))
    if any(row.path == path for row in component_rows(found)):
        raise UsageError(f"component '{path}' is there already", hint=f"dtk list-components {inputs.service.name}")
    component = _component(inputs, name, text)
    _check_title(component, name)
    file = inputs.workspace.service_file(inputs.service.name)
    if not remove_item(file, ("removed",), f"{node}/{name}"):
        add_item(file, ("components", node), str(name))
    _, after = read_service(inputs.service.name)
    number = next(i for i, row in enumerate(component_rows(after), start=1) if row.path == path)
    if not as_json:
        typer.echo(f"component_id: {number}")
    say_changed(inputs.workspace, inputs.service.name, as_json=as_json)


def delete_component(
    words: Annotated[list[str], typer.Argument(metavar=WHERE, help="What to take away, and from where.")],
    as_json: JsonOption = False,
) -> None:
    """Take a component away from a node, a group or the service.

    The values and links set for it go with it. The next apply runs its delete action, if it has one.
    Example: dtk delete-component dask1 master/gitarchive[mar01]
    """
    service, (text,) = service_and_words(words, 1, 1, f"dtk delete-component {WHERE}")
    inputs, found = read_service(service)
    node, name = _parsed(found, text)
    row = component_row(found, component_path(node, str(name)), inputs.service.name)
    file = inputs.workspace.service_file(inputs.service.name)
    if not remove_item(file, ("components", node), str(name)):
        add_item(file, ("removed",), f"{node}/{name}")
    prefix = f"{row.path}/"
    member_of = f"{node}:"
    behind = f"/{name}/"
    forget(inputs, lambda path: path.startswith(prefix) or (path.startswith(member_of) and behind in path))
    say_changed(inputs.workspace, inputs.service.name, as_json=as_json)


def _parsed(found: Present, text: str) -> tuple[str, ComponentName]:
    """Return node and name that ``[NODE/][NAMESPACE:]COMPONENT`` means."""
    node, separator, component = text.partition("/")
    name = ComponentName.parse(_without_namespace(component if separator else node))
    if name is None:
        raise UsageError(f"'{text}' is not a component", hint="write [NODE/]module::component[title]")
    return (declared_node(found, node) if separator else ASSEMBLY_WIDE), name


def _without_namespace(component: str) -> str:
    namespace, separator, rest = component.partition(":")
    return rest if separator and not rest.startswith(":") and namespace else component


def _component(inputs: Inputs, name: ComponentName, text: str) -> Component:
    """Return what a component's name means among the service's modules and the catalog's."""
    wanted = text.rpartition("/")[2].partition("[")[0]
    namespace = wanted.partition(":")[0] if _without_namespace(wanted) != wanted else ""
    catalog = load_catalog(inputs.workspace)
    modules = [m for m in catalog.providing(name.type) if not namespace or m.name.startswith(f"{namespace}/")]
    if len(modules) == 1:
        return next(c for c in modules[0].components.values() if c.type == name.type)
    if modules:
        names = ", ".join(module.name.replace("/", ":") for module in modules)
        raise UsageError(f"'{name.type}' is in several modules: {names}", hint="a service can use only one of them")
    known = [c.type for module in inputs.modules.values() for c in module.components.values()]
    hint = did_you_mean(name.type, known, "dtk list-components MODULE")
    raise UsageError(f"no module{f' of {namespace}' if namespace else ''} has a component '{name.type}'", hint=hint)


def _check_title(component: Component, name: ComponentName) -> None:
    if component.singleton and name.title:
        raise UsageError(f"'{name.type}' can be on a node once only, and takes no title", hint=f"write {name.type}")
    if not component.singleton and not name.title:
        raise UsageError(f"'{name.type}' needs a title", hint=f"write '{name.type}[TITLE]'")

"""Resolves the component that a command line names, and the node it is on."""

from __future__ import annotations

from dtk.dsl.catalog import load_catalog
from dtk.errors import UsageError
from dtk.model.module import Component
from dtk.model.names import ASSEMBLY_WIDE, ComponentName
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.service import ResolvedService
from dtk.service.lookup import declared_node
from dtk.service.planning import Inputs


def component_on_node(found: ResolvedService, text: str) -> tuple[str, ComponentName]:
    """Return the node and the component name that ``[NODE/][NAMESPACE:]COMPONENT`` names."""
    node, separator, component = text.partition("/")
    name = ComponentName.parse(_without_namespace(component if separator else node))
    if name is None:
        raise UsageError(f"'{text}' is not a component", hint="write [NODE/]module::component[title]")
    return (declared_node(found, node) if separator else ASSEMBLY_WIDE), name


def _without_namespace(component: str) -> str:
    namespace, separator, rest = component.partition(":")
    return rest if separator and not rest.startswith(":") and namespace else component


def find_component(inputs: Inputs, name: ComponentName, text: str) -> Component:
    """Return the component that a name refers to, from the service's modules and the catalog.

    Raises:
        UsageError: no module has it, or several have it.
    """
    requested = text.rpartition("/")[2].partition("[")[0]
    namespace = requested.partition(":")[0] if _without_namespace(requested) != requested else ""
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


def check_title(component: Component, name: ComponentName) -> None:
    """Check that a component has a title exactly if it needs one.

    Raises:
        UsageError: the title is missing or not allowed; the message says how to write the component.
    """
    if component.singleton and name.title:
        raise UsageError(f"'{name.type}' can be only once on a node and takes no title", hint=f"write {name.type}")
    if not component.singleton and not name.title:
        raise UsageError(f"'{name.type}' needs a title", hint=f"write '{name.type}[TITLE]'")

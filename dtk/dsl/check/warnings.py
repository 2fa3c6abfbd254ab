"""Warnings: possible mistakes in a module; ``dtk validate --strict`` treats them as errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from dtk.dsl.check.component import unproduced_attributes
from dtk.dsl.template.assembly import names_in
from dtk.errors import Problem
from dtk.model.module import (
    Assembly,
    AttributeMapping,
    AttributeTerm,
    Command,
    Component,
    ComponentUse,
    Module,
    Operation,
    Subtask,
    TextTerm,
)
from dtk.model.names import ASSEMBLY_WIDE, CREATE, ComponentName

_TITLE = "name"
_TAKES_TEXT = ("operations", "commands", "compute", "none")
"""Providers that use an attribute only if their text names it; the others receive all attributes."""


def module_warnings(module: Module, needed: Iterable[Module] = ()) -> list[Problem]:
    """Return a module's warnings in file order: unused attributes, missing outputs, components in no stage.

    Args:
        module: the module.
        needed: the modules it depends on, whose components its assemblies may use.
    """
    found = [*unproduced_attributes(module), *_unused_attributes(module)]
    components = {found.type: found for one in (*needed, module) for found in one.components.values()}
    for assembly in module.assemblies.values():
        found += [*_in_no_stage(assembly, components), *_unused_by_values(assembly)]
    return sorted(found, key=lambda problem: problem.location or module.location)


def _unused_attributes(module: Module) -> Iterator[Problem]:
    linked = set(_linked(module))
    for component in module.components.values():
        if not component.actions or any(a.provider not in _TAKES_TEXT for a in component.actions.values()):
            continue  # others read an attribute holder; puppet receives every attribute
        text = _text_of(component, module)
        for name, attribute in component.attributes.items():
            is_title = name == _TITLE and not component.singleton
            # dtk logs reads those of the type log_file; a constant port is declared for the firewall.
            is_declared = attribute.type == "log_file" or (attribute.type == "port" and attribute.constant)
            is_read = is_declared or (component.type, name) in linked
            is_used = is_read or re.search(rf"\b{re.escape(name)}\b", text)
            if not (attribute.dynamic or is_title or is_used):
                message = f"attribute '{name}' of '{component.type}' is used by no action and no link"
                yield Problem(message, attribute.location)


def _unused_by_values(assembly: Assembly) -> Iterator[Problem]:
    """Yield a warning for each attribute of an assembly that no template in its values uses."""
    values: list[object] = [use.attributes for _, use in _uses(assembly)]
    values += [
        value for node in assembly.nodes.values() for value in (node.attributes, node.cardinality, node.max_in_flight)
    ]
    used = {name for value in values for name in names_in(value)}
    for name, attribute in assembly.attributes.items():
        if name not in used:
            message = f"attribute '{name}' of assembly '{assembly.name}' is used by no value in it"
            yield Problem(
                message, attribute.location, expected=f"'{{{{ {name} }}}}' in a value of a component or a node"
            )


def _text_of(component: Component, module: Module) -> str:
    """Return the text of a component's actions and of the module files that they name."""
    parts = [json.dumps(asdict(action), default=str) for action in component.actions.values()]
    for action in component.actions.values():
        for item in action.items:
            source = item.source if isinstance(item, Command) else ""
            if isinstance(item, Operation):
                source = str(item.arguments.get("src", ""))
            file = module.folder / source
            if source and file.is_file():
                parts.append(file.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(parts)


def _linked(module: Module) -> Iterator[tuple[str, str]]:
    """Yield the attributes that links read, by component type and name."""
    for component in module.components.values():
        for link in component.links:
            sides = {"base": component.type, "dependency": link.component}
            for mapping in link.mappings:
                yield from ((sides[term.side], term.attribute) for term in _sources(mapping) if not term.of_node)


def _sources(mapping: AttributeMapping) -> Iterator[AttributeTerm]:
    parts = mapping.source.parts if isinstance(mapping.source, TextTerm) else (mapping.source,)
    yield from (part for part in parts if isinstance(part, AttributeTerm))


def _in_no_stage(assembly: Assembly, components: Mapping[str, Component]) -> Iterator[Problem]:
    workflow = assembly.workflows.get(CREATE)
    if workflow is None:
        return
    staged = {name for subtask in workflow.subtasks for name in _components_of(subtask)}
    for node, use in _uses(assembly):
        component = components.get(use.name.type)
        if component and CREATE in component.actions and not any(name.means(use.name) for name in staged):
            where = "" if node == ASSEMBLY_WIDE else f" on '{node}'"
            message = f"component '{use.name}'{where} is in no stage of workflow '{CREATE}': nothing converges it"
            yield Problem(message, use.location)


def _components_of(subtask: Subtask) -> Iterator[ComponentName]:
    yield from (item.component for item in subtask.items)
    for inner in getattr(subtask, "subtasks", ()):
        yield from _components_of(inner)


def _uses(assembly: Assembly) -> Iterator[tuple[str, ComponentUse]]:
    yield from ((ASSEMBLY_WIDE, use) for use in assembly.components)
    for node in assembly.nodes.values():
        yield from ((node.name, use) for use in node.components)

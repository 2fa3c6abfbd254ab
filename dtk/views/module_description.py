"""Describes a module or an assembly: as plain data, or as a Markdown reference of attributes and actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dtk.model.json_data import Json, JsonObject
from dtk.model.module import Action, Assembly, Attribute, Component, ComponentUse, LinkDef, Module, Node, Workflow

_FLAGS = ("required", "dynamic", "input", "constant", "hidden", "secret", "internal")


def module_document(module: Module) -> dict[str, Json]:
    """Return the contents of a module as plain data."""
    return {
        "module": module.name,
        "version": module.version,
        "description": module.description,
        "digest": module.digest,
        "dependencies": dict(module.dependencies),
        "components": {name: component_document(component) for name, component in module.components.items()},
        "assemblies": {name: assembly.description for name, assembly in module.assemblies.items()},
    }


def component_document(component: Component) -> dict[str, Json]:
    """Return a component as plain data, without hidden defaults."""
    return _without_empty(
        {
            "type": component.type,
            "description": component.description,
            "attributes": {name: _attribute(attribute) for name, attribute in component.attributes.items()},
            "dependencies": [dependency.component for dependency in component.dependencies],
            "links": {link.name: _link(link) for link in component.links},
            "actions": {name: _action(action) for name, action in component.actions.items()},
        }
    )


def assembly_document(assembly: Assembly) -> dict[str, Json]:
    """Return an assembly as plain data."""
    return _without_empty(
        {
            "assembly": f"{assembly.module.replace('/', ':')}/{assembly.name}",
            "description": assembly.description,
            "attributes": {name: _attribute(attribute) for name, attribute in assembly.attributes.items()},
            "components": [str(use.name) for use in assembly.components],
            "nodes": {name: _node(node) for name, node in assembly.nodes.items()},
            "workflows": {name: _workflow(workflow) for name, workflow in assembly.workflows.items()},
            "outputs": {name: output.text for name, output in assembly.outputs.items()},
        }
    )


def _attribute(attribute: Attribute) -> dict[str, Json]:
    shown = attribute.has_default and not attribute.hidden
    return _without_empty(
        {
            "type": attribute.type,
            **({"default": attribute.default} if shown else {}),
            **{flag: True for flag in _FLAGS if getattr(attribute, flag)},
            "description": attribute.description,
        }
    )


def _link(link: LinkDef) -> dict[str, Json]:
    return {
        "component": link.component,
        "required": link.required,
        "same_node": link.same_node,
        "attribute_mappings": [mapping.text for mapping in link.mappings],
    }


def _action(action: Action) -> dict[str, Json]:
    outputs: list[Json] = [output.attribute for output in action.outputs]
    return _without_empty({"provider": action.provider, "description": action.description, "outputs": outputs})


def _node(node: Node) -> dict[str, Json]:
    group: dict[str, Any] = {"type": "group", "cardinality": node.cardinality} if node.is_group else {}
    if node.max_in_flight is not None:
        group["max_in_flight"] = node.max_in_flight
    return {**group, **node.attributes, "components": [str(use.name) for use in node.components]}


def _workflow(workflow: Workflow) -> list[Json]:
    return [str(subtask.name) for subtask in workflow.subtasks]


def _without_empty(document: JsonObject) -> JsonObject:
    return {key: value for key, value in document.items() if value not in ("", [], {})}


def as_text(value: JsonObject, indent: int = 0) -> Iterator[str]:
    """Yield plain data as lines in the style of YAML, for people."""
    blanks = "  " * indent
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield f"{blanks}{key}:"
            yield from as_text(item, indent + 1)
        elif isinstance(item, list) and item:
            yield f"{blanks}{key}:"
            yield from (f"{blanks}- {_scalar(entry)}" for entry in item)
        else:
            yield f"{blanks}{key}: {_scalar(item)}"


def _scalar(value: Json) -> str:
    if isinstance(value, str) and value and value.isprintable() and value[0].isalnum() and ": " not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def module_markdown(module: Module) -> str:
    """Return the reference of a module: the attributes, links and actions of components, the nodes of assemblies."""
    lines = [f"# {module.name}", ""]
    lines += [module.description, "", f"Version {module.version}." if module.version else "", ""]
    for component in module.components.values():
        lines += component_markdown(component)
    for assembly in module.assemblies.values():
        lines += assembly_markdown(assembly)
    return _joined(lines)


def component_markdown(component: Component) -> list[str]:
    """Return a component's section of the reference."""
    lines = [f"## Component {component.type}", "", component.description, ""]
    lines += _attribute_table(component.attributes)
    dependencies = [f"`{dependency.component}` (on the same node)" for dependency in component.dependencies]
    links = [f"`{link.component}` ({'required' if link.required else 'optional'} link)" for link in component.links]
    if dependencies or links:
        lines += [f"Needs: {', '.join([*dependencies, *links])}.", ""]
    rows = [[f"`{name}`", action.provider, action.description] for name, action in component.actions.items()]
    return [*lines, *_table(["Action", "Implemented by", "Description"], rows)]


def assembly_markdown(assembly: Assembly) -> list[str]:
    """Return an assembly's section of the reference."""
    lines = [f"## Assembly {assembly.name}", "", assembly.description, ""]
    lines += _attribute_table(assembly.attributes)
    wide = [["assembly-wide", "", _uses(assembly.components)]] if assembly.components else []
    nodes = [
        [f"`{name}`", f"group of {node.cardinality}" if node.is_group else "one", _uses(node.components)]
        for name, node in assembly.nodes.items()
    ]
    lines += _table(["Node", "How many", "Components"], [*wide, *nodes])
    for name, workflow in assembly.workflows.items():
        lines += [f"Workflow `{name}`: {', '.join(map(str, _workflow(workflow)))}.", ""]
    outputs = [[f"`{name}`", f"`{output.text}`"] for name, output in assembly.outputs.items()]
    return [*lines, *_table(["Output", "Value"], outputs)]


def _uses(uses: Iterable[ComponentUse]) -> str:
    return ", ".join(f"`{use.name}`" for use in uses)


def _attribute_table(attributes: Mapping[str, Attribute]) -> list[str]:
    rows = [
        [f"`{name}`", attribute.type, _default(attribute), ", ".join(_traits(attribute)), attribute.description]
        for name, attribute in attributes.items()
    ]
    return _table(["Attribute", "Type", "Default", "Flags", "Description"], rows)


def _default(attribute: Attribute) -> str:
    if not attribute.has_default or attribute.default is None:
        return ""
    return "(hidden)" if attribute.hidden else f"`{json.dumps(attribute.default, ensure_ascii=False)}`"


def _traits(attribute: Attribute) -> list[str]:
    return [flag for flag in _FLAGS if getattr(attribute, flag)]


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = [headers, ["---"] * len(headers), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines] + [""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _joined(lines: Iterable[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).rstrip() + "\n"


def assembly_page(assembly: Assembly) -> str:
    """Return the reference of one assembly as a separate page."""
    return _joined([f"# {assembly.module}", "", *assembly_markdown(assembly)])

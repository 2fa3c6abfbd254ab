"""What the README of each module says of its attributes and nodes is what its dtk.module.yaml says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dtk.dsl.catalog import Catalog, load_catalog
from dtk.model.module import Attribute, Component, Module
from dtk.state.workspace import Workspace
from dtk.views.module_description import assembly_markdown

MODULES = Path(__file__).resolve().parents[2] / "modules"
NAMES = sorted(f"{file.parent.parent.name}:{file.parent.name}" for file in MODULES.glob("*/*/dtk.module.yaml"))
HEADER = "| attribute | type | default | |"


@cache
def catalog() -> Catalog:
    # A folder that is no workspace: what is found there is what dtk brings along.
    return load_catalog(Workspace(MODULES / "none"))


@cache
def linked() -> set[tuple[str, str]]:
    """The attributes, by component, that get their values by links."""
    found = set()
    for name in NAMES:
        for component in catalog().find(name).components.values():
            for link in component.links:
                types = {"base": component.type, "dependency": link.component}
                found |= {(types[mapping.destination.side], mapping.destination.attribute) for mapping in link.mappings}
    return found


def is_set_by_people(component: Component, attribute: Attribute) -> bool:
    given = attribute.dynamic or attribute.constant or attribute.hidden or (component.type, attribute.name) in linked()
    return not given and not (attribute.name == "name" and not component.singleton)


def place(component: Component) -> str:
    """What stands before a component in the path of its attributes: nothing, its only node, or NODE for any."""
    found = set()
    for assembly in (assembly for name in NAMES for assembly in catalog().find(name).assemblies.values()):
        found |= {"" for use in assembly.components if use.name.type == component.type}
        for node in assembly.nodes.values():
            found |= {f"{node.name}/" for use in node.components if use.name.type == component.type}
    return found.pop() if len(found) == 1 else "NODE/"


def shown(attribute: Attribute) -> str:
    if not attribute.has_default or attribute.default is None:
        return "required" if attribute.required else ""
    if isinstance(attribute.default, dict | list):
        return "…"
    return attribute.default if isinstance(attribute.default, str) else json.dumps(attribute.default)


def expected(module: Module) -> Iterator[tuple[str, str, str]]:
    """The first three cells of each row: path, type, default."""
    for assembly in module.assemblies.values():
        for node in assembly.nodes.values():
            if node.is_group:
                yield f"{node.name}/cardinality", "integer", str(node.cardinality)
    for component in module.components.values():
        title = "" if component.singleton else "[NAME]"
        for attribute in component.attributes.values():
            if is_set_by_people(component, attribute):
                path = f"{place(component)}{component.type}{title}/{attribute.name}"
                yield path, attribute.type, shown(attribute)


def stated(readme: str) -> list[tuple[str, str, str]]:
    """The first three cells of each row of the table of attributes."""
    lines = iter(readme.splitlines())
    rows = []
    for line in lines:
        if line == HEADER:
            next(lines)
            while (row := next(lines, "")).startswith("|"):
                path, type_, default = (cell.strip() for cell in row.split("|")[1:4])
                rows.append((path.strip("`"), type_, default.strip("`")))
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_states_each_attribute_that_people_set_with_its_type_and_default(name: str) -> None:
    readme = (MODULES / name.replace(":", "/") / "README.md").read_text()
    desired = sorted(set(expected(catalog().find(name))))
    assert sorted(stated(readme)) == desired, "\n".join(f"| `{a}` | {b} | {c} | |" for a, b, c in desired)


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_states_the_nodes_of_each_assembly_and_their_components(name: str) -> None:
    readme = (MODULES / name.replace(":", "/") / "README.md").read_text()
    for assembly in catalog().find(name).assemblies.values():
        lines = assembly_markdown(assembly)
        table = "\n".join(line for line in lines if line.startswith("|"))
        assert table in readme, table

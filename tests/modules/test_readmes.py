"""Each module's README, and the log files that it lists, agree with its dtk.module.yaml."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dtk.dsl.catalog import Catalog, load_catalog
from dtk.model.module import Attribute, Component, Module
from dtk.state.workspace import Workspace
from dtk.views.module_description import assembly_markdown
from tests.support.command_line import Dtk

MODULES = Path(__file__).resolve().parents[2] / "modules"
NAMES = sorted(f"{file.parent.parent.name}:{file.parent.name}" for file in MODULES.glob("*/*/dtk.module.yaml"))
HEADER = "| attribute | type | default | |"


def readme(name: str) -> str:
    return (MODULES / name.replace(":", "/") / "README.md").read_text()


@cache
def catalog() -> Catalog:
    # This folder is not a workspace, so only dtk's own modules are found.
    return load_catalog(Workspace(MODULES / "none"))


@cache
def linked() -> set[tuple[str, str]]:
    """Return the attributes that get their values by links, as (component type, attribute)."""
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
    """Return the prefix of a component in its attributes' paths: "", its only node, or NODE for any node."""
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
    """Yield the first three cells of each expected row: path, type, default."""
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


def stated(text: str) -> list[tuple[str, str, str]]:
    """Return the first three cells of each row of the table of attributes."""
    lines = iter(text.splitlines())
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
    desired = sorted(set(expected(catalog().find(name))))
    assert sorted(stated(readme(name))) == desired, "\n".join(f"| `{a}` | {b} | {c} | |" for a, b, c in desired)


@pytest.mark.parametrize("name", NAMES)
def test_a_readme_states_the_nodes_of_each_assembly_their_components_and_its_outputs(name: str) -> None:
    for assembly in catalog().find(name).assemblies.values():
        for is_table, lines in groupby(assembly_markdown(assembly), lambda line: line.startswith("|")):
            table = "\n".join(lines)
            assert not is_table or table in readme(name), table


def test_the_documentation_lists_each_module_with_its_description() -> None:
    listed = (MODULES.parent / "docs" / "modules.md").read_text().splitlines()
    for name in NAMES:
        link = f"[{name}](../modules/{name.replace(':', '/')}/README.md)"
        assert f"| {link} | {catalog().find(name).description} |" in listed


@pytest.mark.parametrize("name", [name for name in NAMES if "```mermaid\n" in readme(name)])
def test_the_picture_is_what_dtk_graph_draws(name: str, tmp_path: Path) -> None:
    (assembly,) = catalog().find(name).assemblies
    dtk = Dtk(tmp_path)
    dtk.run("init")
    dtk.run("stage", f"{name}/{assembly}", "drawn")
    drawn = readme(name).partition("```mermaid\n")[2].partition("```")[0]
    assert dtk.run("graph", "drawn").stdout == drawn


def test_the_readme_of_postgresql_ha_puts_a_load_balancer_or_a_name_before_the_proxies(tmp_path: Path) -> None:
    dtk = Dtk(tmp_path)
    dtk.run("init")
    (tmp_path / "dtk.yaml").write_text("{format_version: 1, targets: {vpc: {type: ec2, region: eu-central-1}}}")
    dtk.run("stage", "dtk:postgresql-ha/cluster", "ha1", "--target", "vpc")
    before = readme("dtk:postgresql-ha").partition("**One address on EC2**")[2].partition("| workflow |")[0]
    commands = [shlex.split(line) for line in before.splitlines() if line.startswith("dtk set-attribute ha1 ")]
    assert [path for _, _, _, path, _ in commands] == [
        "proxies/target_groups",
        "proxies/dns",
        "database/certificates::request/names",
    ]
    for _, *words in commands:
        dtk.run(*words)
    groups = "ha1-write:5000, ha1-read:5001, db.example.org"
    assert f"register_node proxies:[1-2]  (into {groups})" in dtk.run("plan", "ha1").stdout


def test_the_copies_of_one_program_are_the_same_in_each_module() -> None:
    # A module ships only its own files, so programs are copied; a bug fixed in one copy must be fixed in all of them.
    copies = list(MODULES.glob("*/*/files/unpack.sh"))
    assert len(copies) > 1
    assert len({file.read_bytes() for file in copies}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_a_module_keeps_running_has_a_log_that_dtk_logs_knows(name: str) -> None:
    document = YAML(typ="safe").load(MODULES / name.replace(":", "/") / "dtk.module.yaml")
    for kind, component in document["components"].items():
        for program in re.findall(r"{{ daemon }} stop ([a-z-]+)", str(component)):
            assert component["attributes"]["log"]["type"] == "log_file", kind
            assert f"run/{program}.log" in str(component), kind

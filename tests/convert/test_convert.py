"""Conversion of the original's modules: a service module with component modules of 2015, a unified one, the list."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dtk.__main__ import run
from dtk.convert.module import convert
from dtk.convert.mustache import to_jinja
from dtk.convert.write import yaml_text
from dtk.dsl.module import load_module
from dtk.dsl.yaml.edit import new_workspace

ORIGINAL = Path(__file__).parent / "original"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "modules").mkdir(parents=True)
    (root / "services").mkdir()
    new_workspace(root / "dtk.yaml")
    return root


def dtk(root: Path, *words: str, code: int = 0) -> str:
    """Run a command; return its output, with ``--json`` only its standard output."""
    output, notes = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(notes if "--json" in words else output):
        ended = run(["--workspace", str(root), *words])
    assert ended == code, output.getvalue() + notes.getvalue()
    return output.getvalue()


def test_the_converted_modules_plan_with_the_stages_the_original_would_have_had(workspace: Path) -> None:
    dtk(workspace, "convert", str(ORIGINAL))
    dtk(workspace, "validate")
    dtk(workspace, "stage", "bigtop:hdfs/cluster", "hdfs1")
    plan = json.loads(dtk(workspace, "plan", "hdfs1", "--json"))
    # docs/original.md 5.1 and 5.3: stages that create missing nodes come first, then the workflow's; groups before
    # nodes.
    assert [(s["number"], s["name"], [(t["type"], t["node"]) for t in s["steps"]]) for s in plan["stages"]] == [
        (
            "1",
            "create_nodes_stage",
            [("create_node", "master"), ("create_node", "slaves:1"), ("create_node", "slaves:2")],
        ),
        ("2", "bigtop_multiservice", [("configure_node", "assembly_wide")]),
        ("3", "bigtop hiera", [("configure_nodegroup", "slaves"), ("configure_node", "master")]),
        ("4", "namenode", [("configure_node", "master")]),
        ("5", "if needed leave safemode", [("action", "master")]),
        ("6", "namenode smoke test", [("action", "master")]),
        ("7", "datanodes", [("configure_nodegroup", "slaves")]),
        ("8", "hdfs directories", [("configure_node", "master")]),
    ]
    (namenode,) = plan["stages"][3]["steps"][0]["actions"]
    assert namenode["items"][0]["kind"] == "puppet"
    assert namenode["items"][0]["name"] == "hadoop::namenode"
    assert "puppet/stdlib/manifests/init.pp" in namenode["files"]
    assert namenode["attributes"]["http_port"] == 50071


def test_everything_that_is_not_carried_over_is_listed_with_its_place() -> None:
    _, notes = convert(ORIGINAL, "")
    listed = [f"{note.location.file.rpartition('/')[2]}:{note.location.line} {note.message}" for note in notes]
    expected = (Path(__file__).parent / "expected_notes.txt").read_text().splitlines()
    assert listed == expected


def test_files_and_comments_that_go_nowhere_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "bigtop" / "hadoop"
    shutil.copytree(ORIGINAL / "component_modules/bigtop/hadoop", folder)
    (folder / "README.md").write_text("# Hadoop\n")
    document = folder / "dtk.model.yaml"
    document.write_text(f"# Ours since 2015\n{document.read_text()}")
    listed = {str(note) for note in convert(tmp_path, "")[1] if not note.path}
    assert listed == {
        "bigtop/hadoop/README.md:1:1: the file is not copied: no action or Puppet code uses it",
        "bigtop/hadoop/dtk.model.yaml:1:1: a comment is not converted; the first is here",
    }


def test_every_key_of_the_original_is_carried_over_or_listed(tmp_path: Path) -> None:
    """Misspell each key of the fixture in turn and check that the list of unconverted keys grows."""
    base = len(convert(ORIGINAL, "")[1])
    source = ORIGINAL / "component_modules/bigtop/hadoop/dtk.model.yaml"
    text = source.read_text()
    folder = tmp_path / "bigtop" / "hadoop"
    folder.mkdir(parents=True)
    (folder / "dtk.model.yaml").write_text(text)
    alone = len(convert(tmp_path, "")[1])
    assert alone < base
    lines = text.splitlines()
    for number, line in enumerate(lines):
        key = line.strip().partition(":")[0].removeprefix("- ")
        if key not in ("version", "description", "attributes", "link_defs", "actions", "external_ref", "includes"):
            continue
        if not line.strip().startswith(key + ":") or "{" in line.split(key)[0] or key == "version":
            continue
        changed = [*lines[:number], line.replace(f"{key}:", f"{key}x:", 1), *lines[number + 1 :]]
        (folder / "dtk.model.yaml").write_text("\n".join(changed))
        found = [note.message for note in convert(tmp_path, "")[1]]
        assert any(f"'{key}x'" in message for message in found), (number, line, found)


def test_a_unified_module_is_converted(workspace: Path, tmp_path: Path) -> None:
    folder = tmp_path / "simple"
    folder.mkdir()
    (folder / "dtk.module.yaml").write_text(UNIFIED)
    printed = dtk(workspace, "convert", str(folder))
    assert "dtk.module.yaml:4:1: keywords have no counterpart (at keywords)" in printed
    assert "docker" in printed.lower()
    dtk(workspace, "stage", "acme:simple/pair", "pair1")
    plan = json.loads(dtk(workspace, "plan", "pair1", "--json"))
    assert [stage["name"] for stage in plan["stages"]] == ["create_nodes_stage", "stage 1"]
    module = load_module(workspace / "modules" / "acme" / "simple")
    assert module.version == "1.2.0"
    assert module.assemblies["pair"].nodes["back"].is_group
    (use,) = module.assemblies["pair"].nodes["back"].components
    assert dict(use.links) == {"simple::server": ("front/simple::server",)}


UNIFIED = """dsl_version: 1.0.0
module: acme/simple
version: 1.2.0
keywords: [example]
component_defs:
  server:
    attributes: {port: {type: integer, default: 80}, address: {dynamic: true}}
    actions:
      create:
        commands: [RUN touch server]
  client:
    attributes: {port: {type: integer}}
    dependencies: [simple::server]
    link_defs:
      - simple::server:
          required: true
          attribute_mappings: [$port -> port]
    actions:
      create: {docker_image: busybox}
      check: {command: 'RUN echo "{{port}}"'}
assemblies:
  pair:
    description: Two
    components:
      - node[front]:
          components: [simple::server]
      - node_group[back]:
          attributes: {cardinality: 3}
          components:
            - simple::client: {links: [{simple::server: front/simple::server}]}
    actions:
      create:
        components: [simple::server]
"""


def test_parameters_of_actions_come_along() -> None:
    modules = {module.word: module.document for module in convert(ORIGINAL, "")[0]}
    restart = modules["hadoop"]["components"]["datanode"]["actions"]["restart"]
    assert restart["parameters"] == {"how": {"type": "string", "required": True}}
    (stage,) = modules["hdfs"]["assemblies"]["cluster"]["workflows"]["restart"]["subtasks"]
    assert stage["actions"] == [{"hadoop::datanode.restart": {"parameters": {"how": "restart"}}}]


def test_blocks_of_a_stage_attempts_order_and_workflow_files_come_along() -> None:
    modules = {module.word: module.document for module in convert(ORIGINAL, "")[0]}
    assert modules["hadoop"]["components"]["datanode"]["after"] == ["hadoop::common_hdfs"]
    check = modules["hdfs"]["assemblies"]["cluster"]["workflows"]["check"]
    assert check["subtasks"][0] == {
        "name": "check {{when}}",
        "exec_blocks": [
            {"actions": ["hadoop::namenode.smoke_test"]},
            {"ordered_components": ["hadoop::namenode.leave_safemode", "hadoop::namenode.smoke_test"]},
        ],
        "node": "master",
        "retries": 2,
        "retry_delay": 5,
    }


def test_nothing_is_overwritten_and_a_folder_without_modules_is_refused(workspace: Path, tmp_path: Path) -> None:
    dtk(workspace, "convert", str(ORIGINAL))
    assert "already exists" in dtk(workspace, "convert", str(ORIGINAL), code=2)
    (tmp_path / "empty").mkdir()
    assert "no module of the original DTK" in dtk(workspace, "convert", str(tmp_path / "empty"), code=2)


@pytest.mark.parametrize(
    ("mustache", "jinja"),
    [
        ("a {{x}} b", "a {{ x }} b"),
        ("{{{x}}}{{&y}}", "{{ x }}{{ y }}"),
        ("{{#x}}a{{/x}}{{^x}}b{{/x}}", "{% if x %}a{% endif %}{% if not x %}b{% endif %}"),
        ("{{! words }}", "{# words #}"),
        ("{{dtk.module.dir}}", "{{ dtk.module.dir }}"),
    ],
)
def test_mustache_becomes_jinja(mustache: str, jinja: str) -> None:
    assert to_jinja(mustache, raw=False)[0] == jinja


def test_numbers_keep_their_text() -> None:
    modules, _ = convert(ORIGINAL, "")
    hadoop = next(module for module in modules if module.word == "hadoop")
    assert "default: '2.70'" in yaml_text(hadoop.document)

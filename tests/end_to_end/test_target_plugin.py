"""A target from another distribution: the example of docs/targets.md does everything that dtk's own targets do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.support.command_line import Dtk
from tests.support.plugin import install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder for installed packages that is on the path of every dtk process."""
    folder = tmp_path / "site"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return folder


@pytest.fixture
def classroom(site: Path, dtk: Dtk) -> Dtk:
    """Create a workspace whose default target is the plugin's."""
    (dtk.root / "dtk.yaml").write_text(install(site))
    return dtk


def test_a_service_lives_on_a_plugins_target_from_deploy_to_destroy(classroom: Dtk, module: Path) -> None:
    classroom.run("validate")
    classroom.run("stage", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    plan = classroom.run("plan", "ring1").stdout
    assert "bench, 4 GB" in plan
    classroom.run("apply", "ring1", "--yes")
    nodes = {node["node"]: node for node in classroom.json("list-nodes", "ring1")}
    assert set(nodes) == {"master", "slaves:1"}
    assert classroom.run("ssh", "ring1", "master", "--", "true").returncode == 0
    assert "Nothing" in classroom.run("plan", "ring1", "--refresh").stdout
    classroom.run("stop", "ring1")
    classroom.run("start", "ring1")
    classroom.run("delete-and-destroy", "ring1", "--yes")
    assert json.loads((classroom.root / ".dtk/nodes.json").read_text())["local"] == {}


def test_what_a_plugins_provider_refuses_fails_that_node(classroom: Dtk, module: Path) -> None:
    classroom.run("stage", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=2")
    done = classroom.run("apply", "ring1", "--yes", code=1)
    assert "no room for node 'slaves:2': target 'room' has 2 places" in done.stdout + done.stderr


def test_a_plugins_settings_and_words_are_checked_as_dtks_own_are(classroom: Dtk, module: Path) -> None:
    file = classroom.root / "dtk.yaml"
    file.write_text(file.read_text().replace("most_nodes", "most_node"))
    output = classroom.run("validate", code=3).stderr
    assert "unknown key 'most_node'; expected type, most_nodes or defaults; did you mean 'most_nodes'?" in output
    file.write_text(file.read_text().replace("most_node", "most_nodes").replace("size: bench", "size: bensh"))
    output = classroom.run("validate", code=3).stderr
    assert "size 'bensh' is not known to target 'room'; expected desk or bench; did you mean 'bench'?" in output


def test_editors_get_the_schemas_of_all_installed_targets(classroom: Dtk, module: Path) -> None:
    classroom.run("validate")
    folder = classroom.root / ".dtk" / "schemas"

    def read(name: str) -> Resource[object]:
        return Resource.from_contents(json.loads((folder / name).read_text()))

    schema = json.loads((folder / "workspace.schema.json").read_text())
    registry: Registry[Any] = Registry(retrieve=read)  # type: ignore[call-arg]
    validator = Draft202012Validator(schema, registry=registry)

    def mistakes(**target: object) -> list[str]:
        return [error.message for error in validator.iter_errors({"format_version": 1, "targets": {"room": target}})]

    assert schema["$defs"]["target"]["properties"]["type"]["enum"] == ["local", "hosts", "ec2", "classroom"]
    for file in folder.glob("*.schema.json"):
        Draft202012Validator.check_schema(json.loads(file.read_text()))
    assert mistakes(type="classroom", most_nodes=2) == []
    assert mistakes(type="ec2", images={"plain": {"image": "ami-1", "user": "admin"}}, tags={"team": "a"}) == []
    assert mistakes(type="hosts", hosts={"alpha": {"address": "10.0.0.5"}}) == []
    assert mistakes(type="classroom", most_nodes=0) == ["0 is less than the minimum of 1"]
    assert mistakes(type="local", most_nodes=2) != []
    assert mistakes(type="hosts") == ["'hosts' is a required property"]


def test_a_plan_of_a_target_that_is_not_installed_says_what_is_missing(
    classroom: Dtk, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classroom.run("stage", "acme:ring/cluster", "ring1", "--set", "slaves/cardinality=1")
    monkeypatch.setenv("PYTHONPATH", "")
    done = classroom.run("plan", "ring1", code=3)
    assert "invalid value 'classroom'; expected local, hosts or ec2" in done.stderr


def test_a_plugin_that_can_not_be_loaded_fails_only_its_own_targets(classroom: Dtk, module: Path, site: Path) -> None:
    (site / "dtk_classroom" / "description.py").write_text("import nothing_of_this_name\n")
    done = classroom.run("validate", code=3)
    assert "target type 'classroom' of package dtk-classroom can't be loaded: ModuleNotFoundError" in done.stderr
    assert "Traceback" not in done.stderr
    (classroom.root / "dtk.yaml").write_text("format_version: 1\n")
    classroom.run("validate")

"""Conversion of a whole tree of the original's modules: two namespaces, missing modules, misspelt keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dtk.convert.module import convert
from tests.convert.test_convert import dtk, workspace

__all__ = ["workspace"]

TREE = Path(__file__).parent / "tree"


def stages(plan: str) -> list[tuple[str, list[tuple[str, str]]]]:
    return [(s["name"], [(t["type"], t["node"]) for t in s["steps"]]) for s in json.loads(plan)["stages"]]


def test_a_tree_is_converted_validates_and_plans_with_the_stages_of_the_original(workspace: Path) -> None:
    dtk(workspace, "convert", "--tree", str(TREE))
    dtk(workspace, "validate")
    dtk(workspace, "stage", "acme-new:store/pair", "store1")
    assert stages(dtk(workspace, "plan", "store1", "--json")) == [
        ("create_nodes_stage", [("create_node", "back"), ("create_node", "front:1"), ("create_node", "front:2")]),
        ("base", [("configure_nodegroup", "front"), ("configure_node", "back")]),
        ("store", [("configure_node", "back")]),
        ("store smoke test", [("action", "back")]),
        ("web servers", [("configure_nodegroup", "front")]),
    ]
    links = dtk(workspace, "list-links", "store1")
    assert "back/store::server" in links
    assert "cassandra" not in links.replace("cassandra::cluster", "")


def test_module_refs_say_which_of_two_modules_of_one_name_is_meant() -> None:
    modules = {module.name: module.document for module in convert(TREE, "", whole_tree=True)[0]}
    assert sorted(modules) == ["acme-new/store", "acme/store", "acme/web"]
    # The service module is merged into the component module of the same name that its module_refs name.
    assert list(modules["acme-new/store"]["assemblies"]) == ["pair"]
    assert "assemblies" not in modules["acme/store"]
    assert modules["acme-new/store"]["dependencies"] == {"acme/web": ">=0"}


def test_a_link_to_a_module_that_is_not_there_is_optional_and_made_where_a_service_has_one(workspace: Path) -> None:
    dtk(workspace, "convert", "--tree", str(TREE))
    other = workspace / "modules" / "db" / "cassandra"
    other.mkdir(parents=True)
    document = "dsl_version: 1.0.0\nmodule: db/cassandra\nversion: 0.1.0\ncomponents:\n  cluster:\n    attributes:\n"
    (other / "dtk.module.yaml").write_text(document + "      contact_point: {default: '10.0.0.9'}\n")
    dtk(workspace, "stage", "acme-new:store/pair", "store1")
    dtk(workspace, "add-component", "store1", "back/cassandra::cluster")
    assert "10.0.0.9" in dtk(workspace, "list-attributes", "store1")
    (other / "dtk.module.yaml").write_text(document + "      contact_points: {default: '10.0.0.9'}\n")
    refused = dtk(workspace, "plan", "store1", code=3)
    assert "maps 'contact_point' of 'cassandra::cluster', which has no such attribute" in refused
    assert "contact_points" in refused


def test_what_is_missing_or_misspelt_is_said_once_with_what_was_meant() -> None:
    notes = [note.message for note in convert(TREE, "", whole_tree=True)[1]]
    expected = (
        "no manifest found for 'store::server', 'store::tools', 'store::backup'; install the Puppet code on the nodes"
        " (puppet_code: node)",
        "module 'acme-new/store' has no component 'store::servr'; it is left out: did you mean 'store::server'?",
        "module 'wb' is not in the tree (did you mean 'web'?); links to it become optional; other references to it"
        " are left out",
        "module 'nagios' is not in the tree; links to it become optional; other references to it are left out",
        "module 'store' is 'acme-new/store', whose assemblies depend on this module; links to it become optional;"
        " other references to it are left out",
        "the service module 'acme/store' is merged with 'acme-new/store' of the same short name",
        "4 files are not copied: no action or Puppet code uses them (a.rb, b.rb, c.rb, …)",
    )
    assert [notes.count(message) for message in expected] == [1] * len(expected)


def test_a_word_that_nothing_decides_is_said_with_both_modules(tmp_path: Path) -> None:
    shutil.copytree(TREE, tmp_path / "tree")
    (tmp_path / "tree/service_modules/acme/store/module_refs.yaml").unlink()
    (tmp_path / "tree/component_modules/acme/web").rename(tmp_path / "tree/component_modules/puppetlabs/web")
    notes = [note.message for note in convert(tmp_path / "tree", "", whole_tree=True)[1]]
    assert any("module 'store' may be acme-new/store or acme/store: choose one in module_refs.yaml" in n for n in notes)


def test_a_folder_that_is_no_tree_is_refused(workspace: Path, tmp_path: Path) -> None:
    assert "is not a tree of modules" in dtk(workspace, "convert", "--tree", str(tmp_path), code=2)

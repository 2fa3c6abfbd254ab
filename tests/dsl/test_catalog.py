"""Modules are found by name (the workspace's own first) and loaded once, with their dependencies."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.dsl.catalog import Catalog, load_catalog
from dtk.errors import InvalidError
from dtk.state.workspace import Workspace


def write(root: Path, name: str, text: str = "", *, module: str = "") -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    head = f"dsl_version: 1.0.0\nmodule: {module or name}\nversion: 1.2.0\n"
    (folder / "dtk.module.yaml").write_text(head + text, encoding="utf-8")


def problems(catalog: Catalog, name: str) -> list[str]:
    with pytest.raises(InvalidError) as caught:
        catalog.find(name)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "test/base", "components:\n  disk: {attributes: {size: {type: integer}}}\n")
    write(
        tmp_path,
        "test/store",
        "dependencies: {test/base: '>=1.0,<2'}\ncomponents:\n  store:\n    dependencies: [base::disk]\n",
    )
    write(
        tmp_path,
        "test/site",
        "dependencies: {'test:store': '1.2'}\ncomponents: {web: {}}\n"
        "assemblies:\n  one: {nodes: {master: {components: [site::web, store]}}}\n",
    )
    return tmp_path


def test_a_module_is_found_by_either_way_of_writing_its_name_and_loaded_once(root: Path) -> None:
    catalog = Catalog([root])
    assert catalog.names() == ["test/base", "test/site", "test/store"]
    assert catalog.find("test:base") is catalog.find("test/base")


def test_dependencies_are_followed_all_the_way(root: Path) -> None:
    assert list(Catalog([root]).with_dependencies("test/site")) == ["test/site", "test/store", "test/base"]


def test_the_first_root_that_has_a_module_wins(root: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    write(workspace.local / "modules", "test/base")
    write(workspace.modules, "test/base", "components: {mine: {}}\n")
    catalog = load_catalog(workspace)
    assert list(catalog.find("test/base").components) == ["mine"]
    assert "dtk/dask" in catalog.names()


def test_a_module_that_is_not_there_is_told_with_the_nearest_name(root: Path) -> None:
    assert problems(Catalog([root]), "test/stor") == ["no module 'test/stor'; did you mean 'test/store'?"]


def test_a_dependency_that_is_not_there_is_told_where_it_is_named_and_nowhere_else(root: Path) -> None:
    write(root, "test/broken", "dependencies: {test/stroe: '1'}\ncomponents: {a: {dependencies: [stroe::x]}}\n")
    assert problems(Catalog([root], root), "test/broken") == [
        "test/broken/dtk.module.yaml:4:16: no module 'test/stroe'; did you mean 'test/store'?"
        " (at dependencies/test/stroe)"
    ]


def test_a_version_that_does_not_fit_is_told(root: Path) -> None:
    write(root, "test/late", "dependencies: {test/base: '>=2'}\n")
    assert problems(Catalog([root], root), "test/late") == [
        "test/late/dtk.module.yaml:4:27: module 'test/base' is 1.2.0; expected >=2 (at dependencies/test/base)"
    ]


def test_components_of_other_modules_are_checked_against_their_definition(root: Path) -> None:
    write(
        root,
        "test/wrong",
        "dependencies: {test/base: '1.2.0'}\ncomponents:\n  a:\n    attributes: {x: {}}\n    link_defs:\n"
        "      base::disk: {attribute_mappings: [$sise -> x]}\n      base::dsk: {}\n",
    )
    assert [
        problem.partition(": ")[2].partition(" (at")[0] for problem in problems(Catalog([root], root), "test/wrong")
    ] == [
        "attribute mapping ($sise -> x): 'base::disk' has no attribute 'sise'; did you mean 'size'?",
        "no component 'base::dsk'; did you mean 'base::disk'?",
    ]


def test_modules_that_depend_on_each_other_are_refused(root: Path) -> None:
    write(root, "test/a", "dependencies: {test/b: '1'}\n")
    write(root, "test/b", "dependencies: {test/a: '1'}\n")
    with pytest.raises(InvalidError):
        Catalog([root]).find("test/a")


def test_a_module_in_a_folder_of_another_name_is_refused(root: Path) -> None:
    write(root, "test/moved", module="test/original")
    assert problems(Catalog([root], root), "test/moved") == [
        "test/moved/dtk.module.yaml:1:1: the module is named 'test/original', but its folder 'test/moved';"
        " expected 'test/moved' (at module)"
    ]


def test_who_provides_a_component_is_found_without_loading_the_others(root: Path) -> None:
    write(root, "other/base", "components: {disk: {}, tape: {}}\n")
    write(root, "test/invalid", "nonsense: 1\n")
    catalog = Catalog([root])
    assert [module.name for module in catalog.providing("base::disk")] == ["other/base", "test/base"]
    assert [module.name for module in catalog.providing("base::tape")] == ["other/base"]
    assert list(catalog.providing("store")) == [catalog.find("test/store")]
    assert catalog.providing("nothing::here") == []

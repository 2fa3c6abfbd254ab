"""Edits of lists in service.yaml: one item changes one line, everything else stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.dsl.yaml.edit_list import add_item, remove_item
from dtk.errors import DtkError

HEAD = "format_version: 1   # keep\nservice: s\n"


def file_with(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "service.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "components:\n  master:\n    - gitarchive[mar01]\n"),
        (
            "components:\n  slaves:\n    - a::b  # why\n# end\n",
            "components:\n  slaves:\n    - a::b  # why\n  master:\n    - gitarchive[mar01]\n# end\n",
        ),
        (
            "components:\n  master:\n  - a::b  # why\n\n# end\nz: 1\n",
            "components:\n  master:\n  - a::b  # why\n  - gitarchive[mar01]\n\n# end\nz: 1\n",
        ),
        (
            "components:\n  master:\n    - a::b:\n        attributes: {x: 1}\n  other: []\n",
            "components:\n  master:\n    - a::b:\n        attributes: {x: 1}\n    - gitarchive[mar01]\n  other: []\n",
        ),
        ("components:\n  master: [a::b]\n", "components:\n  master: [a::b, 'gitarchive[mar01]']\n"),
    ],
)
def test_a_component_is_added_as_one_line_where_its_node_is(tmp_path: Path, before: str, after: str) -> None:
    file = file_with(tmp_path, before)
    add_item(file, ("components", "master"), "gitarchive[mar01]")
    assert file.read_text(encoding="utf-8") == HEAD + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("removed:\n  - a\n  - slaves:2  # broken\n  - b\n", "removed:\n  - a\n  - b\n"),
        ("removed:\n  - slaves:2\nz: 1\n", "z: 1\n"),
        ("z: 1\nremoved:\n  - slaves:2\n", "z: 1\n"),
        ("removed:\n  - slaves:2:\n      x: 1\n  - b\n", "removed:\n  - b\n"),
    ],
)
def test_an_item_is_removed_with_the_list_it_leaves_empty(tmp_path: Path, before: str, after: str) -> None:
    file = file_with(tmp_path, before)
    assert remove_item(file, ("removed",), "slaves:2")
    assert file.read_text(encoding="utf-8") == HEAD + after
    assert not remove_item(file, ("removed",), "slaves:2")


def test_an_item_of_a_nested_list_is_removed_with_the_map_it_leaves_empty(tmp_path: Path) -> None:
    file = file_with(tmp_path, "components:\n  master:\n    - a::b[x]\nz: 1\n")
    assert remove_item(file, ("components", "master"), "a::b[x]")
    assert file.read_text(encoding="utf-8") == HEAD + "z: 1\n"


def test_what_is_added_and_removed_again_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = file_with(tmp_path, "components:\n  master:\n    - a::b\n")
    before = file.read_text(encoding="utf-8")
    add_item(file, ("components", "slaves"), "c::d[t]")
    add_item(file, ("removed",), "slaves:2")
    remove_item(file, ("removed",), "slaves:2")
    remove_item(file, ("components", "slaves"), "c::d[t]")
    assert file.read_text(encoding="utf-8") == before


def test_a_list_that_is_none_is_left_alone(tmp_path: Path) -> None:
    file = file_with(tmp_path, "removed: 5\n")
    with pytest.raises(DtkError, match="dtk can't edit"):
        add_item(file, ("removed",), "slaves:2")
    assert file.read_text(encoding="utf-8") == HEAD + "removed: 5\n"

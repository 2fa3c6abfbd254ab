"""Edits of service.yaml and dtk.yaml: one attribute changes one line, everything else stays."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.document import read_document
from dtk.dsl.yaml.edit import new_service, new_workspace, set_attribute, set_key, unset_attribute
from dtk.errors import DtkError, UsageError

SERVICE = """\
# yaml-language-server: $schema=service.schema.json
format_version: 1
service: dask1     # the team's
assembly: dtk:dask/cluster

attributes:
  # how many
  slaves/cardinality: 4   # four is enough
  "master/gitarchive[mar01]/month": '03'
  master/dask::scheduler/port: 8790

# added by hand
components:
  master:
    - gitarchive[mar01]
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    file = tmp_path / "dask1" / "service.yaml"
    file.parent.mkdir()
    file.write_text(SERVICE, encoding="utf-8")
    return file


def changes(before: str, after: str) -> list[str]:
    """Return the changed lines, prefixed with - or +."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:3] not in ("---", "+++", "@@ ")]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "slaves/cardinality",
            2,
            ["-  slaves/cardinality: 4   # four is enough", "+  slaves/cardinality: 2   # four is enough"],
        ),
        (
            "master/gitarchive[mar01]/month",
            "04",
            [
                "-  \"master/gitarchive[mar01]/month\": '03'",
                "+  \"master/gitarchive[mar01]/month\": '04'",
            ],
        ),
        ("master/dask::worker/threads", 2, ["+  master/dask::worker/threads: 2"]),
        ("master/dask::worker/version", "2.70", ["+  master/dask::worker/version: '2.70'"]),
        ("master/dask::worker/hosts", ["a", "b c"], ['+  master/dask::worker/hosts: ["a", "b c"]']),
    ],
)
def test_setting_an_attribute_changes_one_line(service: Path, path: str, value: object, expected: list[str]) -> None:
    set_attribute(service, path, value)
    assert changes(SERVICE, service.read_text(encoding="utf-8")) == expected
    assert read_document(service).data["attributes"][path] == value


def test_setting_what_stands_there_already_changes_nothing(service: Path) -> None:
    set_attribute(service, "slaves/cardinality", 4)
    assert service.read_text(encoding="utf-8") == SERVICE


def test_unsetting_an_attribute_removes_its_line_alone(service: Path) -> None:
    assert unset_attribute(service, "master/dask::scheduler/port")
    assert changes(SERVICE, service.read_text(encoding="utf-8")) == ["-  master/dask::scheduler/port: 8790"]
    assert not unset_attribute(service, "master/dask::scheduler/port")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n", "a: 1\nattributes:\n  x/y: 5\n"),
        ("a: 1", "a: 1\nattributes:\n  x/y: 5\n"),
        ("attributes: {}  # none\na: 1\n", "attributes:  # none\n  x/y: 5\na: 1\n"),
        ("attributes:\na: 1\n", "attributes:\n  x/y: 5\na: 1\n"),
        ("attributes: {b: 1}\n", "attributes: {b: 1, x/y: 5}\n"),
        (
            "attributes:\n    b: |\n      text\n\n# end\na: 1\n",
            "attributes:\n    b: |\n      text\n    x/y: 5\n\n# end\na: 1\n",
        ),
        ("attributes:\n  b: {c: 1}  # c\n", "attributes:\n  b: {c: 1}  # c\n  x/y: 5\n"),
        ("attributes:\n  x/y:\n  b: 1\n", "attributes:\n  x/y: 5\n  b: 1\n"),
        ("attributes:\n  x/y:\n    - 1\n    - 2\n  b: 1\n", "attributes:\n  x/y:\n    5\n  b: 1\n"),
    ],
)
def test_a_new_attribute_goes_where_attributes_are(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text, encoding="utf-8")
    set_attribute(file, "x/y", 5)
    assert file.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attributes:\n  x/y: 5\na: 1\n", "a: 1\n"),
        ("attributes: {x/y: 5, b: 1}\n", "attributes: {b: 1}\n"),
        ("attributes: {b: 1, x/y: 5}\n", "attributes: {b: 1}\n"),
        ("attributes:\n  x/y:\n    - 1\n    - 2\n  b: 1\n", "attributes:\n  b: 1\n"),
    ],
)
def test_unsetting_leaves_a_file_that_says_the_rest(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(text, encoding="utf-8")
    assert unset_attribute(file, "x/y")
    assert file.read_text(encoding="utf-8") == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@example({":0": None}, "slaves/cardinality")
@given(VALUES, st.sampled_from(["slaves/cardinality", "master/gitarchive[mar01]/month", "new/path", "a b: c#"]))
def test_any_value_is_read_back_as_it_was_set(
    tmp_path_factory: pytest.TempPathFactory, value: object, path: str
) -> None:
    file = tmp_path_factory.mktemp("edit") / "service.yaml"
    file.write_text(SERVICE, encoding="utf-8")
    before = dict(read_document(file).data["attributes"])
    set_attribute(file, path, value)
    assert read_document(file).data["attributes"] == {**before, path: value}
    unset_attribute(file, path)
    before.pop(path, None)
    assert read_document(file).data["attributes"] == before


def test_an_edit_keeps_permissions_and_leaves_nothing_beside_the_file(service: Path) -> None:
    service.chmod(0o664)
    set_attribute(service, "slaves/cardinality", 2)
    assert service.stat().st_mode & 0o777 == 0o664
    assert [path.name for path in service.parent.iterdir()] == ["service.yaml"]


def test_an_edit_goes_through_a_symlink(service: Path, tmp_path: Path) -> None:
    link = tmp_path / "service.yaml"
    link.symlink_to(service)
    set_attribute(link, "slaves/cardinality", 2)
    assert link.is_symlink()
    assert "slaves/cardinality: 2" in service.read_text(encoding="utf-8")


def test_a_file_that_is_no_map_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("- a\n", encoding="utf-8")
    with pytest.raises(DtkError):
        set_attribute(file, "a", 1)
    assert file.read_text(encoding="utf-8") == "- a\n"


def test_a_new_service_is_valid_and_is_not_written_twice(tmp_path: Path) -> None:
    file = tmp_path / "dask1" / "service.yaml"
    new_service(file, assembly="dtk:dask/cluster", target="local", attributes={"slaves/cardinality": 3, "v": "2.70"})
    service = load_service(file)
    assert (service.name, service.module, service.assembly, service.target) == ("dask1", "dtk/dask", "cluster", "local")
    assert {path: setting.value for path, setting in service.attributes.items()} == {
        "slaves/cardinality": 3,
        "v": "2.70",
    }
    with pytest.raises(UsageError):
        new_service(file, assembly="dtk:dask/cluster")


def test_a_new_workspace_has_the_embedded_target(tmp_path: Path) -> None:
    new_workspace(tmp_path / "dtk.yaml")
    configuration = load_workspace(tmp_path / "dtk.yaml")
    assert configuration.default_target == "local"
    assert configuration.target("").type == "local"
    with pytest.raises(UsageError):
        new_workspace(tmp_path / "dtk.yaml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# ours\nformat_version: 1 # one\nservice: a\n", "# ours\nformat_version: 1 # one\nid: u-1\nservice: a\n"),
        ('{"format_version": 1, "service": "a"}', '{"format_version": 1, "service": "a", "id": "u-1"}'),
        ("service: a", "service: a\nid: u-1\n"),
    ],
)
def test_a_key_is_added_below_another_and_nothing_else_is_touched(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(before)
    set_key(file, "id", "u-1", after="format_version")
    assert file.read_text() == after

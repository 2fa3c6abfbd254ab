"""Puppet classes and defined types applied on nodes: by Puppet itself, and by a stand-in program."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.apply.items.puppet import literal_of, manifest_of
from dtk.model.json_data import Json
from dtk.model.planned_action import PlannedPuppet
from tests.support.command_line import Dtk

MODULE = """dsl_version: 1.0.0
module: acme/note
version: 1.0.0
components:
  note:
    attributes:
      text: {type: string, default: "it's a \\\\ $note"}
      lines: {type: array(string), default: [one, two]}
      folder: {type: string, dynamic: true}
      fixed: {type: string, default: x, constant: true}
      mode: {type: string}
    actions:
      create:
        puppet_class: note
        PATH
        outputs:
          folder: {command: pwd}
  line:
    singleton: false
    attributes:
      name: {type: string}
      text: {type: string, required: true}
    dependencies: [note]
    actions:
      create:
        puppet_definition: note::line
        PATH
assemblies:
  one:
    nodes:
      n:
        components:
          - note
          - note::line[first]: {attributes: {text: written}}
    workflows:
      create:
        subtasks:
          - {name: note, components: [note]}
          - {name: line, components: ['note::line[first]']}
"""
CLASS = """class note(String $text, Array $lines, $mode = 'none') {
  $home = $facts['dtk_home']
  file { "${home}/note": content => "${text}|${join($lines, ',')}|${mode}\\n" }
}
"""
DEFINITION = """define note::line(String $text) {
  $home = $facts['dtk_home']
  file { "${home}/line-${title}": content => "${text}\\n" }
}
"""
STAND_IN = """#!/bin/sh
# Stands in for Puppet: notes how it was called; changes something the first time; fails where the manifest says so.
if [ "$1" = config ]; then echo /etc/puppet/code/modules; exit 0; fi
for last; do :; done
echo "$*" >> calls
cat "$last" >> manifests
stat -c %a "$last" >> modes
ls .dtk/puppet/acme/note/code/note/manifests >> shipped
grep -q broken "$last" && { echo 'Error: Evaluation Error' >&2; exit 4; }
cmp -s "$last" "applied-$(basename "$last")" && exit 0
cp "$last" "applied-$(basename "$last")"
exit 2
"""


def write_module(dtk: Dtk, path: str = "") -> None:
    folder = dtk.root / "modules" / "acme" / "note"
    manifests = folder / "puppet" / "note" / "manifests"
    manifests.mkdir(parents=True)
    defaults = f"defaults: {{_env: {{PATH: '{path}', FACTER_dtk_home: '{{{{ node.home }}}}'}}}}"
    (folder / "dtk.module.yaml").write_text(MODULE.replace("PATH", defaults))
    (manifests / "init.pp").write_text(CLASS)
    (manifests / "line.pp").write_text(DEFINITION)


def home(dtk: Dtk) -> Path:
    (node,) = dtk.json("list-nodes", "one1")
    return Path(node["attributes"]["home"])


@pytest.fixture
def programs() -> Iterator[Path]:
    """Create a folder with the stand-in that every user can read; pytest's folders are private to one user."""
    with tempfile.TemporaryDirectory(prefix="dtk-programs-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "puppet").write_text(STAND_IN)
        (folder / "puppet").chmod(0o755)
        yield folder


def test_the_module_s_puppet_code_is_shipped_and_applied_once(dtk: Dtk, programs: Path) -> None:
    write_module(dtk, f"{programs}:/usr/bin:/bin")
    dtk.run("deploy", "acme:note/one", "one1")
    node = home(dtk)
    manifests = (node / "manifests").read_text()
    assert "class { 'note':\n  text => 'it\\'s a \\\\ $note',\n  lines => ['one', 'two'],\n}" in manifests
    assert "note::line { 'first':\n  text => 'written',\n}" in manifests
    assert (node / "shipped").read_text().split()[:2] == ["init.pp", "line.pp"]
    assert set((node / "modes").read_text().split()) == {"600"}
    assert "--modulepath=.dtk/puppet/acme/note/code:/etc/puppet/code/modules" in (node / "calls").read_text()
    assert list((node / ".dtk").rglob("note-*.pp")) == [], "manifests hold values, and do not stay"
    assert "No changes" in dtk.run("plan", "one1").stdout or "nothing" in dtk.run("plan", "one1").stdout.lower()
    dtk.run("converge", "one1", "--yes")
    finished = [e for e in dtk.events("one1", 2) if e["type"] == "operation.finished" and e["kind"] == "puppet"]
    assert [(event["changed"], event["exit_code"]) for event in finished] == [(False, 0), (False, 0)]
    dtk.run("set-attribute", "one1", "n/note/text", "broken")
    failed = dtk.run("apply", "one1", "--yes", code=1)
    assert "Evaluation Error" in failed.stdout + failed.stderr


@pytest.mark.skipif(shutil.which("puppet") is None, reason="Puppet is not installed (CI installs Debian's package)")
def test_puppet_itself_applies_classes_and_defined_types(dtk: Dtk) -> None:
    write_module(dtk, "/usr/bin:/bin")
    dtk.run("deploy", "acme:note/one", "one1")
    assert (home(dtk) / "note").read_text() == "it's a \\ $note|one,two|none\n"
    assert (home(dtk) / "line-first").read_text() == "written\n"
    dtk.run("converge", "one1", "--yes")
    finished = [e for e in dtk.events("one1", 2) if e["type"] == "operation.finished" and e["kind"] == "puppet"]
    assert [event["changed"] for event in finished] == [False, False]


MODEL_2015 = """module: motd
dsl_version: 1.0.0
components:
  motd:
    attributes:
      text: {type: string, required: true}
      lines: {type: integer, default: 'external_ref(puppet_header)'}
    external_ref: {puppet_class: motd}
"""
ASSEMBLY_2015 = """name: one
node_bindings: {n: amazon_hvm-small}
assembly:
  nodes:
    n:
      components:
        - motd: {attributes: {text: converted}}
workflow:
  subtasks:
    - {name: message, components: [motd]}
"""
CLASS_2015 = """class motd($text, $lines = 2) {
  exec { "echo ${text} ${lines} > motd": provider => shell, unless => "grep -q ${text} motd" }
}
"""


@pytest.mark.skipif(shutil.which("puppet") is None, reason="Puppet is not installed (CI installs Debian's package)")
def test_a_converted_module_of_2015_is_applied_by_puppet_itself(dtk: Dtk, tmp_path: Path) -> None:
    original = tmp_path / "old" / "motd"
    for path, text in (
        ("dtk.model.yaml", MODEL_2015),
        ("assemblies/one.dtk.assembly.yaml", ASSEMBLY_2015),
        ("manifests/init.pp", CLASS_2015),
    ):
        (original / path).parent.mkdir(parents=True, exist_ok=True)
        (original / path).write_text(text)
    dtk.run("convert", str(original))
    dtk.run("deploy", "old:motd/one", "one1")
    assert (home(dtk) / "motd").read_text() == "converted 2\n"


def test_a_manifest_that_is_missing_is_an_error_before_anything_runs(dtk: Dtk) -> None:
    write_module(dtk)
    (dtk.root / "modules/acme/note/puppet/note/manifests/line.pp").rename(
        dtk.root / "modules/acme/note/puppet/note/manifests/lin.pp"
    )
    output = dtk.run("validate", code=3).stderr
    assert "file 'puppet/note/manifests/line.pp', which defines 'note::line', does not exist in the module" in output
    assert "did you mean 'puppet/note/manifests/lin.pp'?" in output


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "undef"),
        (True, "true"),
        (3, "3"),
        (2.5, "2.5"),
        ("a'b\\c${d}\n", "'a\\'b\\\\c${d}\n'"),
        ([1, "x"], "[1, 'x']"),
        ({"k": {"n": None}}, "{'k' => {'n' => undef}}"),
    ],
)
def test_values_are_literals_of_puppet_s_language(value: Json, literal: str) -> None:
    assert literal_of(value) == literal


def test_what_has_no_value_is_left_to_puppet() -> None:
    item = PlannedPuppet("class", "a", ("x", "y"))
    assert manifest_of(item, {"x": 1, "y": None}) == "class { 'a':\n  x => 1,\n}\n"

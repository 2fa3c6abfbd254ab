"""Values reach nodes exactly as written, wherever they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Dtk

WRITTEN = "{version: 1.10, mode: 0755, id: 00123, e: 1e3, day: 2015-11-26, list: [1.0, 1.10], n: 7}"
SHOWN = (
    '{"version": "1.10", "mode": "0755", "id": "00123", "e": "1e3", "day": "2015-11-26", "list": [1.0, "1.10"], "n": 7}'
)
MODULE = f"""
dsl_version: 1.0.0
module: acme/kept
version: 0.1.0
components:
  kept:
    attributes:
      settings: {{type: hash, default: {WRITTEN}}}
      list: {{type: array, default: [1.10, 0755]}}
      data: {{type: json, default: {WRITTEN}}}
      text: {{default: ''}}
      password: {{secret: true, default: 'env:DTK_TEST_PASSWORD'}}
    actions:
      create:
        operations:
          - files.template: {{src: page, dest: page}}
assemblies:
  one:
    nodes:
      main: {{components: [kept]}}
"""
PAGE = """{{ settings | tojson }}
{{ data | tojson }}
{% for key in settings %}{{ settings[key] }} {% endfor %}{{ list | join(' ') }}
"""
RENDERED = f'{SHOWN}\n{SHOWN}\n1.10 0755 00123 1e3 2015-11-26 [1.0, "1.10"] 7 1.10 0755\n'


@pytest.fixture
def kept(dtk: Dtk, monkeypatch: pytest.MonkeyPatch) -> Dtk:
    folder = dtk.root / "modules/acme/kept"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    (folder / "page").write_text(PAGE)
    monkeypatch.setenv("DTK_TEST_PASSWORD", "long enough")
    return dtk


def page(dtk: Dtk, service: str) -> str:
    (node,) = dtk.json("list-nodes", service)
    return (Path(node["attributes"]["home"]) / "page").read_text()


def test_numbers_inside_of_a_value_stay_as_they_are_written(kept: Dtk) -> None:
    kept.run("deploy", "acme:kept/one", "k1")
    assert page(kept, "k1") == RENDERED
    for path, value in (("settings", WRITTEN), ("data", SHOWN.replace('"1.10"', "1.10")), ("list", "[1.10, 0755]")):
        kept.run("set-attribute", "k1", f"main/kept/{path}", value)
    assert "Nothing to do" in kept.run("plan", "k1").stdout
    assert "1.10" in kept.run("list-attributes", "k1", "-f", "yaml").stdout
    kept.run(
        "stage",
        "acme:kept/one",
        "k2",
        "--set",
        f"main/kept/settings={WRITTEN}",
        "--set",
        "main/kept/list=[1.10, 0755]",
    )
    (kept.root / "values.yaml").write_text(f"main/kept/settings: {WRITTEN}\nmain/kept/list: [1.10, 0755]\n")
    kept.run("stage", "acme:kept/one", "k3", "--values", "values.yaml")
    for name in ("k2", "k3"):
        attributes = kept.json("plan", name)["stages"][1]["steps"][0]["actions"][0]["attributes"]
        assert json.dumps(attributes["settings"]) == SHOWN
        assert attributes["list"] == ["1.10", "0755"]


def test_a_number_in_a_file_of_values_is_refused_for_a_secret(kept: Dtk) -> None:
    (kept.root / "values.yaml").write_text("main/kept/password: 1234\n")
    done = kept.run("stage", "acme:kept/one", "k1", "--values", "values.yaml", code=2)
    assert "'main/kept/password' is secret: set it to a reference" in done.stderr


def test_json_has_the_whole_of_a_long_value_that_changes(kept: Dtk) -> None:
    before, after = f"{'x' * 200} old {'z' * 200}", f"{'x' * 200} new {'z' * 200}"
    kept.run("deploy", "acme:kept/one", "k1", "--set", f"main/kept/text={before}")
    kept.run("set-attribute", "k1", "main/kept/text", after)
    shown = kept.run("plan", "k1").stdout
    assert " old z" in shown
    assert " new z" in shown
    assert "x" * 50 not in shown
    (change,) = kept.json("plan", "k1")["components"]
    assert change["differences"] == [{"attribute": "main/kept/text", "before": before, "after": after}]


def test_json_has_the_whole_of_a_value_that_changes_in_many_parts(kept: Dtk) -> None:
    before, after = ({f"k{key}": key + more for key in range(30)} for more in (0, 100))
    kept.run("deploy", "acme:kept/one", "k1", "--set", f"main/kept/data={json.dumps(before)}")
    kept.run("set-attribute", "k1", "main/kept/data", json.dumps(after))
    assert "main/kept/data and 20 more" in kept.run("plan", "k1").stdout
    (change,) = kept.json("plan", "k1")["components"]
    assert change["differences"] == [{"attribute": "main/kept/data", "before": before, "after": after}]

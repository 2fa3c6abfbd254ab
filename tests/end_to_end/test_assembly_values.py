"""Assembly attributes reach nodes and components (set, planned, applied), and secret values in them stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/farm
version: 0.1.0
components:
  hub:
    attributes:
      url: {type: string}
      ports: {type: array(integer), default: []}
      token: {type: string}
    actions:
      create:
        commands: ['RUN echo {{ url }} {{ ports }} {{ token }} > hub; echo made with {{ token }} for {{ url }}']
  leaf:
    attributes:
      cores: {type: integer, default: 1}
      token: {type: string, default: none}
      key: {type: string, secret: true}
    link_defs:
      farm::hub: {attribute_mappings: [$token -> token]}
    actions:
      create: {commands: ['RUN echo {{ cores }} {{ token }} > leaf; echo linked {{ token }}']}
assemblies:
  farm:
    attributes:
      owner: {type: string, required: true}
      port: {type: port, default: 7078}
      leaves: {type: integer, default: 1}
      password: {type: string, secret: true, default: 'env:FARM_PASSWORD'}
      token: {type: string, hidden: true, default: default-token}
    nodes:
      hub:
        components:
          - farm::hub:
              attributes:
                url: 'hub://{{ owner }}:{{ password }}@here'
                ports: ['{{ port }}', '{{ port + 1 }}']
                token: 'token-{{ token }}'
      leaves:
        attributes: {type: group, cardinality: '{{ leaves }}', size: medium}
        components:
          - farm::leaf: {attributes: {cores: '{{ leaves * 2 }}'}}
"""
PASSWORD, TOKEN = "correct-horse-battery", "very-private-token"


@pytest.fixture
def farm(dtk: Dtk) -> Dtk:
    folder = dtk.root / "modules" / "acme" / "farm"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE)
    dtk.run("stage", "acme:farm/farm", "f")
    return dtk


def home(dtk: Dtk, node: str) -> Path:
    return next(Path(n["attributes"]["home"]) for n in dtk.json("list-nodes", "f") if n["node"] == node)


def row(dtk: Dtk, path: str) -> dict[str, object]:
    return next(found for found in dtk.json("list-attributes", "f") if found["path"] == path)


def test_a_required_attribute_of_the_assembly_is_a_violation_with_the_command_that_sets_it(farm: Dtk) -> None:
    (violation,) = farm.json("list-violations", "f")
    assert violation["fix"] == "dtk set-attribute f owner VALUE"
    output = farm.run("plan", "f", code=3).stderr
    assert "Attribute (owner) is required, but unset" in output
    assert "dtk set-attribute f owner VALUE" in output
    farm.run("set-attribute", "f", "owner", "ada")
    farm.run("plan", "f")


def test_a_value_of_another_type_is_refused_where_it_is_set(farm: Dtk) -> None:
    assert "not of type port" in farm.run("set-attribute", "f", "port", "high", code=2).stderr
    assert TOKEN not in farm.run("set-attribute", "f", "tokem", TOKEN, code=2).stderr
    assert "not of type integer" in farm.run("set-attribute", "f", "hub/root_device_size", "big", code=2).stderr
    assert "did you mean 'leaves/size'?" in farm.run("set-attribute", "f", "leaves/sise", "big", code=2).stderr


@pytest.mark.parametrize("path", ["password", "leaves/farm::leaf/key"])
def test_a_secret_itself_is_refused_in_place_of_a_reference_and_stands_nowhere(farm: Dtk, path: str) -> None:
    farm.run("set-attribute", "f", "owner", "ada")
    farm.run("set-attribute", "f", path, "env:OTHER")
    refused = farm.run("set-attribute", "f", path, PASSWORD, code=2)
    assert "env:NAME" in refused.stderr
    file = farm.root / "services" / "f" / "service.yaml"
    assert PASSWORD not in refused.stdout + refused.stderr + file.read_text()
    file.write_text(file.read_text().replace("env:OTHER", PASSWORD))
    planned = farm.run("plan", "f", "--out", "plan.json", code=3)
    assert f"'{path}' is not a secret's reference" in planned.stderr
    assert PASSWORD not in planned.stdout + planned.stderr
    assert not (farm.root / "plan.json").exists()


def test_the_users_own_setting_of_a_component_wins_over_the_assemblys_template(farm: Dtk) -> None:
    farm.run("set-attribute", "f", "owner", "ada")
    farm.run("set-attribute", "f", "leaves", "2")
    assert (row(farm, "leaves/farm::leaf/cores")["value"], row(farm, "leaves/cardinality")["value"]) == (4, 2)
    assert row(farm, "leaves/farm::leaf/cores")["made_from"] == ["leaves"]
    farm.run("set-attribute", "f", "leaves/farm::leaf/cores", "9")
    assert row(farm, "leaves/farm::leaf/cores")["value"] == 9
    farm.run("set-attribute", "f", "leaves/cardinality", "1")
    assert "leaves:2" not in farm.run("plan", "f").stdout


def test_a_size_that_the_target_does_not_know_is_told_by_the_plan_with_the_nearest_word(farm: Dtk) -> None:
    targets = "targets:\n  cloud: {type: ec2, region: eu-central-1}\n"
    (farm.root / "dtk.yaml").write_text(f"format_version: 1\n{targets}")
    farm.run("stage", "acme:farm/farm", "c", "--target", "cloud", "--set", "owner=ada")
    farm.run("set-attribute", "c", "leaves/size", "smal")
    (violation,) = farm.json("list-violations", "c")
    assert (violation["type"], violation["fix"]) == (
        "illegal_attribute_value",
        "dtk set-attribute c leaves/size VALUE",
    )
    output = farm.run("plan", "c", code=3).stderr
    assert "services/c/service.yaml:" in output
    assert "size 'smal' is not known to target 'cloud'; expected micro, small, " in output
    assert "did you mean 'small'?" in output
    farm.run("set-attribute", "c", "leaves/size", "t3.large")
    farm.run("set-attribute", "c", "hub/instance_type", '["c5.large", "c6i.large"]')
    plan = farm.run("plan", "c").stdout
    assert "+ create leaves:1  t3.large, ubuntu_24_04  (new node)" in plan
    assert "+ create hub  c5.large or c6i.large, ubuntu_24_04  (new node)" in plan


def test_values_reach_the_nodes_and_what_is_private_in_them_stands_nowhere(farm: Dtk) -> None:
    farm.run("set-attribute", "f", "owner", "ada")
    farm.run("set-attribute", "f", "token", TOKEN)
    output = farm.run("converge", "f", "--yes", FARM_PASSWORD=PASSWORD).stdout
    hub, leaf = home(farm, "hub"), home(farm, "leaves:1")
    assert (hub / "hub").read_text() == f"hub://ada:{PASSWORD}@here 7078 7079 token-{TOKEN}\n"
    assert (leaf / "leaf").read_text() == f"2 token-{TOKEN}\n"

    kept = farm.root / ".dtk" / "services" / "f"
    files = [path for path in kept.rglob("*") if path.is_file() and not path.is_relative_to(kept / "nodes")]
    assert {"state.json", "plan.json", "events.jsonl"} <= {path.name for path in files}
    assert [path.name for path in files if PASSWORD in path.read_text(errors="replace")] == []
    assert [path.name for path in files if path.suffix in (".jsonl", ".log") and TOKEN in path.read_text()] == []

    farm.run("set-attribute", "f", "port", "8000")
    farm.run("set-attribute", "f", "token", f"{TOKEN}-2")
    screens = [
        farm.run(*words, FARM_PASSWORD=PASSWORD).stdout
        for words in (
            ("plan", "f"),
            ("plan", "f", "--json"),
            ("plan", "f", "--markdown"),
            ("list-attributes", "f"),
            ("info", "f"),
            ("list-violations", "f"),
            ("task-status", "f"),
            ("task-action-detail", "f", "2.1"),
        )
    ]
    assert "hub/farm::hub/ports removed [7078, 7079], added [8000, 8001] (from port)" in screens[0]
    assert "hub/farm::hub/token (hidden) has changed (from token)" in screens[0]
    assert [text for text in (output, *screens) if PASSWORD in text or TOKEN in text] == []

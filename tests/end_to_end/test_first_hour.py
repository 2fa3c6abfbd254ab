"""What a new user meets first: a staged service shows what is planned, and a module of dtk's own needs no install."""

from __future__ import annotations

import pytest

from tests.support.command_line import Dtk

pytestmark = pytest.mark.usefixtures("module")


def statuses(dtk: Dtk) -> dict[str, str]:
    """Return the status of each node in the listing, by its name."""
    rows = [line.split("|") for line in dtk.run("list-nodes", "ring1").stdout.splitlines() if line.startswith("| ")]
    return {row[2].strip(): row[6].strip() for row in rows[1:]}


def test_a_staged_service_shows_its_planned_nodes(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    assert statuses(dtk) == {"master": "planned", "slaves:1": "planned", "slaves:2": "planned"}
    assert dtk.json("list-nodes", "ring1") == [], "programs are given what exists"
    assert [service["nodes"] for service in dtk.json("ls")] == [3]
    dtk.run("apply", "ring1", "--yes")
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    assert statuses(dtk) == {"master": "running", "slaves:1": "running", "slaves:2": "running", "slaves:3": "planned"}
    file = dtk.root / "services" / "ring1" / "service.yaml"
    before = file.read_text()
    file.write_text(before + "nonsense: [\n")
    assert "planned" not in dtk.run("list-nodes", "ring1").stdout, "what exists is listed whatever the files hold"
    file.write_text(before)


@pytest.mark.parametrize("name", ["bigtop:spark", "bigtop/spark"])
def test_installing_a_module_of_dtks_own_says_how_it_is_staged(dtk: Dtk, name: str) -> None:
    refused = dtk.run("install", name, code=2).stderr
    assert f"module '{name}' is available already" in refused
    assert f"next: dtk stage {name}/cluster NAME" in refused

"""The committed files carry the ids of service and workspace, and plans are bound to these ids."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from dtk import __version__
from dtk.plan.document import digest_of_plan, from_text, to_text
from tests.support.command_line import Dtk

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def id_of(dtk: Dtk, service: str) -> str:
    """Return the id in a service's file."""
    found = re.search(r"(?m)^id: (\S+)$", (dtk.root / "services" / service / "service.yaml").read_text())
    return found[1] if found else ""


def test_init_and_stage_write_ids_and_the_services_is_the_lineage_of_its_plan(dtk: Dtk, module: Path) -> None:
    assert re.search(rf"(?m)^workspace: {UUID}$", (dtk.root / "dtk.yaml").read_text())
    dtk.run("stage", "acme:ring/cluster", "ring1")
    assert re.fullmatch(UUID, id_of(dtk, "ring1"))
    shutil.rmtree(dtk.root / ".dtk")
    assert dtk.json("plan", "ring1")["lineage"] == id_of(dtk, "ring1")


def test_init_makes_the_workspace_that_it_is_given(tmp_path: Path) -> None:
    for words, made in ((["init", "one"], "here/one"), (["--workspace", "../two", "init"], "two"), (["init"], "here")):
        here = tmp_path / "here"
        here.mkdir(exist_ok=True)
        Dtk(here).run(*words)
        assert (tmp_path / made / "dtk.yaml").is_file(), words
    assert not (tmp_path / "dtk.yaml").exists()


def test_a_copied_service_is_refused_until_it_has_an_id_of_its_own(dtk: Dtk, module: Path) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    copy = dtk.root / "services/ring2/service.yaml"
    copy.parent.mkdir()
    copy.write_text((dtk.root / "services/ring1/service.yaml").read_text().replace("service: ring1", "service: ring2"))
    refused = dtk.run("plan", "ring2", code=3).stderr
    assert "services 'ring2' and 'ring1' have the same id" in refused
    assert "services/ring2/service.yaml:4:1" in refused
    assert dtk.run("validate", code=3).stderr.count("has this id, too") == 2
    copy.write_text(re.sub(r"(?m)^id: .*\n", "", copy.read_text()))
    dtk.run("plan", "ring2")


def test_a_service_older_than_ids_gets_its_lineage_written_without_disturbing_its_file(dtk: Dtk, module: Path) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    file, config = dtk.root / "services/ring1/service.yaml", dtk.root / "dtk.yaml"
    id_ = id_of(dtk, "ring1")
    old = "# ours\n" + re.sub(r"(?m)^id: .*\n", "", file.read_text()) + "# end\n"
    file.write_text(old)
    config.write_text(re.sub(r"(?m)^workspace: .*\n", "", config.read_text()))
    (dtk.root / ".dtk/workspace-id").write_text("0123456789abcdef\n")
    dtk.run("plan", "ring1")
    assert file.read_text() == old
    output = dtk.run("apply", "ring1", "--yes").stderr
    assert "services/ring1/service.yaml now has an id" in output
    assert file.read_text().replace(f"id: {id_}\n", "") == old
    assert id_of(dtk, "ring1") == id_
    assert "workspace: 0123456789abcdef\n" in config.read_text()


def test_a_plan_is_bound_to_the_services_file_and_to_the_series_of_dtk(dtk: Dtk, module: Path) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    dtk.run("plan", "ring1", "--out", "plan.json")
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    refused = dtk.run("apply", "plan.json", code=5).stderr
    assert "changed since it was made: services/ring1/service.yaml" in refused
    for version, code in (("0.0.1", 5), (f"{'.'.join(__version__.split('.')[:2])}.99", 0)):
        dtk.run("plan", "ring1", "--out", "plan.json")
        file = dtk.root / "plan.json"
        made = replace(from_text(file.read_text(), "plan.json"), dtk_version=version)
        file.write_text(to_text(replace(made, digest=digest_of_plan(made))))
        done = dtk.run("apply", "plan.json", code=code)
        assert (f"made by dtk {version}" in done.stderr) == bool(code)


def test_a_workspace_says_which_dtk_it_requires(dtk: Dtk, module: Path) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    file = dtk.root / "dtk.yaml"
    before = file.read_text()
    file.write_text(f"{before}required_version: '>=99'\n")
    refused = dtk.run("plan", "ring1", code=3).stderr
    assert "the workspace requires dtk >=99" in refused
    file.write_text(f"{before}required_version: newest\n")
    assert "'newest' is not a valid version specifier" in dtk.run("plan", "ring1", code=3).stderr
    file.write_text(f"{before}required_version: '>=0.0.1'\n")
    assert json.loads(dtk.run("plan", "ring1", "--json").stdout)["service"] == "ring1"

"""Workspaces of many services in CI: which services a branch touches, and the plans of all in one document."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import Dtk


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def services(dtk: Dtk, module: Path) -> list[str]:
    """Commit two services of one module and one service of another."""
    other = module.parent / "other"
    other.mkdir()
    text = "dsl_version: 1.0.0\nmodule: acme/other\nversion: 1.0.0\ncomponents: {c: {}}\n"
    (other / "dtk.module.yaml").write_text(f"{text}assemblies: {{one: {{nodes: {{n: {{components: [other::c]}}}}}}}}\n")
    for assembly, name in (("acme:ring/cluster", "a"), ("acme:ring/cluster", "b"), ("acme:other/one", "c")):
        dtk.run("stage", assembly, name)
    git(dtk.root, "init", "-q", "-b", "main")
    git(dtk.root, "add", ".")
    git(dtk.root, "commit", "-qm", "all")
    git(dtk.root, "checkout", "-qb", "feature")
    return ["a", "b", "c"]


def changed(dtk: Dtk, reference: str = "main") -> list[str]:
    return [row["service_instance"] for row in dtk.json("ls", "--changed-since", reference)]


def test_a_service_has_changed_when_its_files_or_its_modules_have(dtk: Dtk, services: list[str], module: Path) -> None:
    assert changed(dtk) == []
    dtk.run("set-attribute", "b", "slaves/cardinality", "3")
    assert changed(dtk) == ["b"], "what is not committed counts"
    git(dtk.root, "commit", "-qam", "three members")
    assert changed(dtk) == ["b"]
    (module / "README.md").write_text("new\n")
    assert changed(dtk) == ["a", "b"], "a module's files are its services'"
    (module / "README.md").unlink()
    (dtk.root / "dtk.yaml").write_text((dtk.root / "dtk.yaml").read_text() + "# targets\n")
    assert changed(dtk) == services
    git(dtk.root, "checkout", "-q", ".")
    assert changed(dtk, "0" * 40) == services, "a forge's word for: there was no commit before this push"
    refused = dtk.run("ls", "--changed-since", "no-such", code=2)
    assert "git can't compare with 'no-such'" in refused.stderr


def test_the_plans_of_all_services_are_one_document(dtk: Dtk, services: list[str], module: Path) -> None:
    document = dtk.json("plan", "--all")
    assert [one["service"] for one in document["services"]] == services
    assert all(one["has_changes"] and one["plan"]["stages"] for one in document["services"])
    dtk.run("set-attribute", "b", "slaves/cardinality", "3")
    found = dtk.run("plan", "--all", "--changed-since", "main", "--json", "--detailed-exitcode", code=10)
    assert [one["service"] for one in json.loads(found.stdout)["services"]] == ["b"]
    git(dtk.root, "checkout", "-q", ".")
    nothing = dtk.run("plan", "--all", "--changed-since", "main", "--json", "--detailed-exitcode")
    assert json.loads(nothing.stdout) == {"services": []}
    page = dtk.run("plan", "--all", "--markdown", "--max-chars", "1500").stdout
    assert len(page) <= 1500
    assert [f"### Plan for `{name}`" in page for name in services] == [True] * 3


def test_a_service_that_cannot_be_planned_does_not_hide_the_others(dtk: Dtk, services: list[str]) -> None:
    file = dtk.root / "services/b/service.yaml"
    file.write_text(file.read_text() + "nonsense: 1\n")
    done = dtk.run("plan", "--all", "--json", code=3)
    first, second, third = json.loads(done.stdout)["services"]
    assert (first["error"], third["error"]) == (None, None)
    assert second["error"]["exit_code"] == 3
    assert any("nonsense" in problem for problem in second["error"]["problems"])
    assert "error: b: " in done.stderr
    assert "No plan for service 'b'" in dtk.run("plan", "--all", code=3).stdout
    assert "--all cannot be used with" in dtk.run("plan", "--all", "--out", "p.json", code=2).stderr

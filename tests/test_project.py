"""Tests of the project's files: workflows, templates, the Makefile and the distribution's metadata."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dtk import __version__
from tests.support.action_linter import complaints

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MINORS = ["3.11", "3.12", "3.13", "3.14"]


def parsed(path: Path) -> Any:
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_of_this_repository_passes_actionlint(path: Path) -> None:
    # This scope is newer than the linter.
    known = 'unknown permission scope "attestations"'
    assert [text for text in complaints(path.name, path.read_text()) if not text.startswith(known)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_workflow_runs_is_here(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in parsed(path)["jobs"].values():
        for script in (one["run"] for one in job["steps"] if "run" in one):
            assert set(re.findall(r"\bmake ([a-z]+)", script)) <= targets
            for program in re.findall(r"(?:^|\s)((?:tests|tools|\.ci)/[a-z]+)(?=\s|$)", script):
                assert (ROOT / program).exists()


def test_tests_run_on_every_python_that_the_metadata_names_and_on_macos() -> None:
    matrix = parsed(ROOT / ".github/workflows/ci.yml")["jobs"]["tests"]["strategy"]["matrix"]
    named = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert matrix["python"] == named == MINORS
    assert any(one["os"].startswith("macos") for one in matrix["include"])


def test_each_push_to_main_publishes_the_site_that_make_builds() -> None:
    workflow = parsed(ROOT / ".github/workflows/docs.yml")
    build, publish = workflow["jobs"]["build"]["steps"], workflow["jobs"]["publish"]
    assert workflow["on"]["push"]["branches"] == ["main"]
    assert "make site" in [step.get("run") for step in build]
    uploaded = next(step["with"]["path"] for step in build if "upload-pages-artifact" in step.get("uses", ""))
    assert uploaded == re.search(r"^site_dir: (.+)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)[1]  # type: ignore[index]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}


def test_external_links_are_requested_on_a_schedule() -> None:
    workflow = parsed(ROOT / ".github/workflows/links.yml")
    assert workflow["on"]["schedule"]
    (arguments,) = (one["with"]["args"] for one in workflow["jobs"]["external"]["steps"] if "with" in one)
    for pattern in re.findall(r"'(\./.+?)'", arguments):
        assert list(ROOT.glob(pattern.removeprefix("./"))), f"{pattern} matches no page"


@pytest.mark.parametrize(("tag", "code"), [(f"v{__version__}", 0), ("v99.0.0", 1)])
def test_a_release_needs_the_version_s_own_tag(tag: str, code: int) -> None:
    steps = parsed(ROOT / ".github/workflows/release.yml")["jobs"]["build"]["steps"]
    script = next(one["run"] for one in steps if one.get("name") == "the tag is the version")
    words = ["bash", "-ec", script]
    done = subprocess.run(
        words, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": tag}, capture_output=True, check=False
    )
    assert done.returncode == code, done.stdout


def test_the_distribution_has_a_name_of_its_own_and_the_command_is_dtk() -> None:
    assert PROJECT["name"] == "dtk-cluster"
    assert list(PROJECT["scripts"]) == ["dtk"]
    assert {"Homepage", "Documentation", "Changelog", "Issues", "Source"} <= set(PROJECT["urls"])
    assert parsed(ROOT / ".github/workflows/release.yml")["jobs"]["pypi"]["environment"]["url"].endswith("/dtk-cluster")


def test_every_message_that_names_what_to_install_names_this_distribution() -> None:
    """PyPI's ``dtk`` is somebody else's program."""
    files = [*(ROOT / "dtk").rglob("*.py"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    named = {
        name
        for file in files
        for name in re.findall(r"\b(?:pip|pipx|tool) install (?:-\S+ )*'?(dtk[\w-]*)", file.read_text())
    }
    assert named - {"dtk-classroom"} == {"dtk-cluster"}, "and the example of a target"


def test_the_makefile_lists_its_verbs_and_contributing_describes_each() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    verbs = [line.split()[0] for line in shown.splitlines()]
    assert {"setup", "test", "lint", "types", "docs", "bench"} <= set(verbs)
    described = (ROOT / "CONTRIBUTING.md").read_text()
    assert [verb for verb in verbs if f"make {verb}" not in described and verb != "help"] == []


def test_forms_and_hooks_are_whole() -> None:
    for name in ("bug", "feature"):
        form = parsed(ROOT / f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= set(form)
        assert len({field["id"] for field in form["body"]}) == len(form["body"])
    hooks = [hook for repo in parsed(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    for hook in hooks:
        program = Path(hook["entry"].split()[0])
        assert program.parts[:2] == (".venv", "bin")
        assert (Path(sys.prefix) / "bin" / program.name).exists(), "a tool that `make setup` does not install"


def test_the_style_page_has_its_examples() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("### Text")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert all(len(row) == 2 and row[0] != row[1] for row in rows)

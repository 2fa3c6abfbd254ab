"""Tests of the documentation: every document shown in README.md and docs/ is valid as written."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dtk.dsl.check.template import NODE_VARIABLES
from dtk.dsl.yaml.document import parse_document
from dtk.model.target import TargetDescription
from dtk.nodes.provider import Provider

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "modules").rglob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
EXTERNAL = re.compile(r"\]\(([a-z]+:[^)\s]*)")
HOST = re.compile(r"([a-z0-9-]+\.)+[a-z]{2,}")
DEPLOY = re.compile(r"\bdeploy: '?([\w./-]+\.py):(\w+)")
FILE = re.compile(r"\b(?:src|source): ([\w./-]+)")


def blocks(start: str) -> list[tuple[str, str]]:
    """Return every YAML block that begins with a key, with a name for the test."""
    return [
        (f"{page.relative_to(ROOT)}-{number}", text)
        for page in PAGES
        for number, text in enumerate(BLOCK.findall(page.read_text()), 1)
        if text.startswith(start)
    ]


def validate(workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dtk", "validate", "--workspace", str(workspace)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks("dsl_version:")])
def test_a_module_that_is_shown_is_valid(text: str, tmp_path: Path) -> None:
    name = re.search(r"^module: (\S+)$", text, re.MULTILINE)
    assert name
    folder = tmp_path / "modules" / name[1]
    for file in FILE.findall(text):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    for file, function in DEPLOY.findall(text):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        code = f"from pyinfra.api import deploy\n\n\n@deploy('it')\ndef {function}(size):\n    pass\n"
        (folder / file).write_text(code)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dtk.module.yaml").write_text(text)
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    done = validate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    if text in (ROOT / "README.md").read_text():
        assert "warning" not in done.stderr, "the first module that people see is one to copy"
        assert not FILE.findall(text), "nor does it need a file that is not shown"


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks("format_version:")])
def test_a_workspace_that_is_shown_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "dtk.yaml").write_text(text)
    done = validate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    assert [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_external_links_are_encrypted_and_name_a_public_host(page: Path) -> None:
    """Whether they answer is checked once a week by .github/workflows/links.yml, as that needs a network."""
    links = [urlsplit(text) for text in EXTERNAL.findall(page.read_text())]
    wrong = [one.geturl() for one in links if one.scheme != "https" or not HOST.fullmatch(one.netloc)]
    assert wrong == []


def test_the_language_s_tables_are_what_the_schemas_say() -> None:
    namespace = runpy.run_path(str(ROOT / "docs" / "make_language.py"))
    assert namespace["page"]() == namespace["PAGE"].read_text(), "when this is meant: python docs/make_language.py"


def test_the_page_of_documents_is_what_the_schemas_say() -> None:
    namespace = runpy.run_path(str(ROOT / "docs" / "make_documents.py"))
    assert namespace["page"]() == namespace["PAGE"].read_text(), "when this is meant: python docs/make_documents.py"


def properties(part: object) -> set[str]:
    """Return every key that a schema defines, at any depth."""
    if isinstance(part, list):
        return {name for item in part for name in properties(item)}
    if not isinstance(part, dict):
        return set()
    known = part.get("properties", {})
    names = {name for name, value in known.items() if isinstance(value, dict)}
    return names.union(*(properties(value) for value in part.values()))


def written_keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*(written_keys(item) for item in value.values()))
    return {key for item in value for key in written_keys(item)} if isinstance(value, list) else set()


def test_every_key_of_the_language_stands_in_an_example() -> None:
    page = (ROOT / "docs" / "module-language.md").read_text()
    examples = [parse_document(text, "example").data for text in BLOCK.findall(page)]
    schema = json.loads((ROOT / "schemas" / "module.schema.json").read_text())
    used = set().union(*map(written_keys, examples))
    assert properties(schema) - used == set()


def test_every_attribute_of_nodes_that_templates_and_links_may_take_is_described() -> None:
    page = (ROOT / "docs/module-language.md").read_text()
    assert [name for name in NODE_VARIABLES if f"| `{name}` |" not in page] == []


def test_every_part_of_a_target_is_described() -> None:
    page = (ROOT / "docs/targets.md").read_text()
    methods = [name for name in vars(Provider) if not name.startswith("_")]
    parts = [*methods, *(field.name for field in fields(TargetDescription))]
    assert [name for name in parts if not re.search(rf"`{name}[`(]", page)] == []


SCHEMAS = sorted([*(ROOT / "schemas").glob("*.schema.json"), *(ROOT / "dtk/nodes").rglob("settings.schema.json")])


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_every_key_that_editors_complete_is_described(file: Path) -> None:
    if file.name in ("plan.schema.json", "event.schema.json", "state.schema.json", "task-status.schema.json"):
        return  # users don't write these files
    assert list(undescribed(json.loads(file.read_text()), file.name)) == []


def undescribed(part: object, where: str) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from undescribed(item, where)
    if not isinstance(part, dict):
        return
    for name, value in part.get("properties", {}).items():
        if isinstance(value, dict) and value and not ({"description", "$ref", "const"} & value.keys()):
            yield f"{where}/{name}"
    for name, value in part.items():
        # Conditions name keys that are described where they are defined.
        if name not in ("if", "then", "else"):
            yield from undescribed(value, f"{where}/{name}")

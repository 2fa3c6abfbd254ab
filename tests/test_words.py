"""Tests that user-facing texts avoid the project's old dialect. Each entry names the word to use instead."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
DIALECT = {
    r"\btold\b": "said, reported, shown",
    r"\bmend(s|ed)?\b": "fix",
    r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b)\w+": "is not a …",
    r"\bstands? (in|there|here|behind)\b": "is in",
    r"\bcan't stand\b": "is not valid",
    r"\blook(s|ed)? at again\b|\bis looked at\b": "is checked",
    r"\b(takes?|taken) in\b": "adopt",
    r"\banew\b": "again, new, rebuild",
    r"\bput right\b": "corrected",
    r"\bg(o|oes|one) on with\b": "continue with",
    r"\bgoes on\b(?! the node)": "continues",
    r"\b(let|lets) in\b": "accept, admit",
    r"\bis another one\b|\banother is it\b": "differs, has changed",
    r"\b(that )?is well\b": "is healthy",
    r"\bunless said\b": "by default",
    r"\bto whoever asks\b": "name the reader",
    r"\b[Cc]omes? in with\b": "password",
    r"\bno such thing\b": "not found",
    r"\bhave ended\b.*\bEC2\b|\bEC2 answers\b": "EC2 returned",
}
"""Patterns of unclear wording, with what to write instead."""

# These files quote the original's output, the style page's examples, or history.
QUOTING = {"CHANGELOG.md", "CONTRIBUTING.md", "original.md"}
PAGES = [
    path
    for pattern in ("*.md", "docs/*.md", "modules/*/*/README.md", "examples/*/README.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name not in QUOTING
]
SCHEMAS = [*sorted(ROOT.glob("schemas/*.json")), *sorted(ROOT.glob("dtk/nodes/*/settings.schema.json"))]
MODULES = sorted(ROOT.glob("modules/*/*/dtk.module.yaml"))
SOURCES = sorted(ROOT.glob("dtk/**/*.py"))


def found(text: str) -> list[str]:
    return [f"{match[0]!r}: write {instead}" for word, instead in DIALECT.items() for match in re.finditer(word, text)]


def messages(source: str) -> Iterator[str]:
    """Yield the strings of a program that are not docstrings, with the parts of each f-string joined."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def descriptions(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from descriptions(item)
    elif isinstance(part, dict):
        yield from (text for key in ("description", "errorMessage") if isinstance(text := part.get(key), str))
        for value in part.values():
            yield from descriptions(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_plain_english(page: Path) -> None:
    assert found(" ".join(page.read_text().split())) == []


def test_messages_and_help_texts_are_in_plain_english() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {mistake}"
        for path in SOURCES
        for text in messages(path.read_text())
        for mistake in found(text)
    }
    assert wrong == set()


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: str(schema.relative_to(ROOT)))
def test_a_schema_s_descriptions_are_in_plain_english(schema: Path) -> None:
    assert [mistake for text in descriptions(json.loads(schema.read_text())) for mistake in found(text)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_module_s_descriptions_are_in_plain_english(module: Path) -> None:
    document = YAML(typ="safe").load(module)
    assert [mistake for text in descriptions(document) for mistake in found(text)] == []


def test_the_dialect_is_recognized() -> None:
    assert found("it is told so, and is no reference") == ["'told': write said, reported, shown",
                                                           "'is no reference': write is not a …"]  # fmt: skip
    assert found("it is no longer there") == []

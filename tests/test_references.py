"""Tests that comments, docstrings and pages refer only to documents, sections and files in this repository."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = {"broken", "plans", "__pycache__"}
FOLDERS = ("bench", "docs", "dtk", "examples", "modules", "schemas", "tests", "tools")
DOCUMENT = re.compile(r"(?<![\w/.*-])([\w./-]+\.(?:md|rst))\b")
PROGRAM = re.compile(r"`([a-z_]+(?:/[a-z0-9_]+)+\.py)`")
SECTION = re.compile(r"docs/original\.md,? (\d(?:\.\d)?)(?:(?:, | and )(\d\.\d))*")


def files(*endings: str) -> Iterator[Path]:
    """Yield the repository's own files with one of these suffixes."""
    for folder in FOLDERS:
        found = sorted((ROOT / folder).rglob("*"))
        yield from (path for path in found if path.suffix in endings and not DATA & set(path.parts))


def remarks(path: Path) -> str:
    """Return a file's text for readers: the comments and docstrings of a program, or the whole of any other file."""
    text = path.read_text()
    if path.suffix != ".py":
        return text
    lines = [
        token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(docstring))):
                lines.append(docstring)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def texts() -> dict[Path, str]:
    return {path: remarks(path) for path in files(".py", ".md", ".json", ".sh", ".yaml")}


def test_a_document_that_is_referred_to_is_in_this_repository(texts: dict[Path, str]) -> None:
    names = {path.name for path in (*files(".md"), *ROOT.glob("*.md"))}
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in texts.items()
        for name in DOCUMENT.findall(text)
        if not ((ROOT / name).exists() or (path.parent / name).exists() or ("/" not in name and name in names))
    }
    assert missing == set()


def test_a_section_of_the_original_that_is_referred_to_is_there(texts: dict[Path, str]) -> None:
    page = (ROOT / "docs" / "original.md").read_text()
    sections = set(re.findall(r"^#+ (\d(?:\.\d)?)\.? ", page, re.MULTILINE))
    named = {
        (path, number)
        for path, text in texts.items()
        for reference in SECTION.finditer(text)
        for number in re.findall(r"\d(?:\.\d)?", reference[0])
    }
    assert named
    assert {f"{path.relative_to(ROOT)}: {number}" for path, number in named if number not in sections} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/reliability.md", "docs/scale.md"])
def test_a_program_that_a_page_names_is_there(page: str) -> None:
    named = PROGRAM.findall((ROOT / page).read_text())
    assert named
    assert [name for name in named if not ((ROOT / name).exists() or (ROOT / "dtk" / name).exists())] == []

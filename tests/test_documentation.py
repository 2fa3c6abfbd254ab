"""Documentation that is executed: every document shown in README.md and docs/ is valid as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "modules").rglob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
FILE = re.compile(r"\b(?:src|source): ([\w./-]+)")


def blocks(start: str) -> list[tuple[str, str]]:
    """Return every YAML block that begins with a key, with a name for it."""
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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dtk.module.yaml").write_text(text)
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    done = validate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in blocks("format_version:")])
def test_a_workspace_that_is_shown_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "dtk.yaml").write_text(text)
    done = validate(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    assert [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()] == []

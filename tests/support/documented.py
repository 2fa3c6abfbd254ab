"""Extracts the files that a documentation page shows: a line with the file name in backquotes, then the content."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
_FILE = re.compile(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files_of(page: str) -> dict[str, str]:
    """Return the content of each file that a page shows, by file name."""
    return dict(_FILE.findall((DOCS / page).read_text()))

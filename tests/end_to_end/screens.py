"""Comparison of screens with recorded ones; values that differ between runs are replaced by placeholders.

``DTK_WRITE_SCREENS=1 pytest tests/end_to_end/test_scenarios.py`` rewrites the recorded screens, for review in the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "screens"

_REPLACED = (
    (r"\d\d:\d\d:\d\d \d\d/\d\d/\d\d", "HH:MM:SS DD/MM/YY"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000", "YYYY-MM-DD HH:MM:SS +0000"),
    (r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", "YYYY-MM-DDTHH:MM:SS"),
    (r"\b\d+\.\ds\b", "N.Ns"),
    (r"\b127\.\d+\.\d+\.\d+\b", "127.0.0.N"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "LINEAGE"),
    (r"\b[0-9a-f]{8}/", "LINEAGE/"),
    (r"(debian|ubuntu|fedora|centos|rhel|macos)[-a-z0-9.]*", "OS"),
    (r"-{3,}", "---"),
    (r"={3,}", "==="),
    (r" +\|", " |"),
    (r"(?m) +$", ""),
)


def normalised(text: str) -> str:
    """Return a screen without times, addresses and the column widths that depend on them."""
    for pattern, replacement in _REPLACED:
        text = re.sub(pattern, replacement, text)
    return text


def same_screen(name: str, text: str) -> None:
    """Fail unless a screen equals the recorded one."""
    file = FOLDER / f"{name}.txt"
    if os.environ.get("DTK_WRITE_SCREENS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(normalised(text))
    assert normalised(text) == file.read_text(), f"{file} is not what was shown:\n{text}"

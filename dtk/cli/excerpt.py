"""The source line of an error, with a caret below the location."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from dtk.errors import DtkError, Location, Problem
from dtk.service.global_options import settings
from dtk.state.workspace import find_workspace

_WIDEST = 100
"""Maximum number of columns shown of a line, around the caret."""
_LARGEST = 4_000_000
_PRIVATE = re.compile(r"\b(hidden|secret)\s*:\s*true\b")
"""A line that declares a hidden attribute may contain its value, so it is not shown, whatever the error is."""


def excerpt(problem: Problem) -> list[str]:
    """Return the source line of a problem and a caret below its column; nothing if it can't or must not be shown."""
    location = problem.location
    if location is None or problem.private:
        return []
    lines = _lines(location.file)
    if not 0 < location.line <= len(lines) or not lines[location.line - 1].strip():
        return []
    if _PRIVATE.search(lines[location.line - 1]):
        return []
    text, column = _around(lines[location.line - 1], location)
    number = str(location.line)
    return [f"{number} | {text}", f"{' ' * len(number)} | {' ' * column}^"]


def _around(line: str, location: Location) -> tuple[str, int]:
    """Return the part of a line that fits, and the caret's column in it; tabs become blanks, so that they align."""
    column = min(max(location.column - 1, 0), len(line))
    start = max(0, column - _WIDEST // 2) if len(line) > _WIDEST else 0
    shown = line[start : start + _WIDEST]
    before, after = "…" if start else "", "…" if start + _WIDEST < len(line) else ""
    text = "".join(character if character.isprintable() else " " for character in shown)
    return f"{before}{text}{after}", column - start + len(before)


@lru_cache(maxsize=8)
def _lines(name: str) -> list[str]:
    """Return the lines of a file that a message names, relative to this folder or to the workspace."""
    for root in _roots():
        file = root / name
        try:
            if _is_linked(root, file):
                return []
            if file.is_file() and file.stat().st_size <= _LARGEST:
                return file.read_text(encoding="utf-8-sig", errors="replace").split("\n")
        except OSError:
            continue
    return []


def _is_linked(root: Path, file: Path) -> bool:
    """Return whether a path contains a symlink: its author, who need not be the reader, chose what it shows."""
    ways = [file, *file.parents]
    inner = ways[: ways.index(root)] if root in ways else ways[:1]
    return any(way.is_symlink() for way in inner)


def _roots() -> list[Path]:
    try:
        workspace = [settings().workspace or find_workspace(Path.cwd()).root]
    except DtkError:
        workspace = []
    return [*workspace, Path.cwd()]

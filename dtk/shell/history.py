"""The shell's history on disk: the last lines, none twice in a row, none that holds a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from dtk.state.files import make_private_folder, replace_file

MOST_LINES = 200
"""As many as the original kept (docs/original.md 2.1)."""

_TELLING = re.compile(r"pass|secret|token|credential|private|api.?key", re.IGNORECASE)
"""Words that stand before secrets. A line too many left out can be typed again; a secret written can't be unwritten."""


def holds_secret(line: str, hidden: Collection[str]) -> bool:
    """Say whether a line may hold a secret: it names a hidden attribute, or something that sounds like one.

    Args:
        line: as typed.
        hidden: the names of attributes whose values are never shown.
    """
    words = re.split(r"[\s/=,]+", line)
    return bool(_TELLING.search(line)) or any(word in hidden for word in words)


class HistoryFile:
    """The lines in a file of mode 0600; whoever can't write it goes without."""

    def __init__(self, file: Path, hidden: Callable[[], Collection[str]]) -> None:
        self.file = file
        self._hidden = hidden

    def lines(self) -> list[str]:
        """Return the lines, oldest first."""
        try:
            return self.file.read_text(encoding="utf-8").splitlines()[-MOST_LINES:]
        except (OSError, UnicodeDecodeError):
            return []

    def add(self, line: str) -> bool:
        """Add a line; return whether it was: no blank, no repetition, no secret is."""
        line = " ".join(line.splitlines()).strip()
        before = self.lines()
        if not line or before[-1:] == [line] or holds_secret(line, self._hidden()):
            return False
        try:
            make_private_folder(self.file.parent)
            replace_file(self.file, "\n".join([*before, line][-MOST_LINES:]) + "\n")
        except OSError:
            return False
        return True

"""The history of the shell on disk: the last lines, without consecutive duplicates and without secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from dtk.disk.files import make_private_folder, replace_file

MOST_LINES = 200
"""Maximum number of lines, as in the original (docs/original.md 2.1)."""

_TELLING = re.compile(r"pass|secret|token|credential|private|api.?key", re.IGNORECASE)
"""Words that indicate secrets. A line omitted needlessly can be typed again; a written secret can't be taken back."""


def holds_secret(line: str, hidden: Collection[str]) -> bool:
    """Return whether a line may contain a secret: it names a hidden attribute or contains a suspicious word.

    Args:
        line: the line as typed.
        hidden: the names of attributes whose values are never shown.
    """
    words = re.split(r"[\s/=,]+", line)
    return bool(_TELLING.search(line)) or any(word in hidden for word in words)


class HistoryFile:
    """The lines in a file with mode 0600; if the file can't be written, there is no history."""

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
        """Add a line unless it is blank, a repetition or may contain a secret; return whether it was added."""
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

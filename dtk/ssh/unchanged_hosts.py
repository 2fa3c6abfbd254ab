"""A read-only view of pinned host keys, for checks outside of tasks."""

from __future__ import annotations

import copy
from pathlib import Path

from dtk.ssh.host_keys import KnownHosts


class UnchangedKnownHosts(KnownHosts):
    """A service's known hosts, read once; new keys are kept in memory only."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        super()._refresh()

    def copy(self) -> UnchangedKnownHosts:
        """Return a view of the same file with new keys of its own: machines in two networks may have one address."""
        made = copy.copy(self)
        made._lines, made._by_host, made.unsettled = list(self._lines), dict(self._by_host), set(self.unsettled)
        return made

    def _refresh(self) -> None:
        """Keep what was read first."""

    def _append(self, line: str) -> None:
        """Write nothing."""

    def _write(self, lines: list[str]) -> None:
        """Write nothing."""

    def _write_note(self, text: str) -> None:
        """Write nothing."""

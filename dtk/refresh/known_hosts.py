"""A service's pinned host keys for those who only ask: what they see for the first time is forgotten with them."""

from __future__ import annotations

from pathlib import Path

from dtk.ssh.host_keys import KnownHosts


class UnchangedKnownHosts(KnownHosts):
    """A service's known hosts, read once; a key that is pinned is forgotten with the process."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        super()._refresh()

    def _refresh(self) -> None:
        """Go on with what was read first."""

    def _append(self, line: str) -> None:
        """Write nothing."""

    def _write(self, lines: list[str]) -> None:
        """Write nothing."""

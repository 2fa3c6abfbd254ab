"""A service's pinned host keys for those who run no task: as a state brings them along, and as they are for asking."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts


def pin_keys_of_state(path: Path, keys: Mapping[str, str]) -> None:
    """Pin the host keys that a state brought along and did not have before: in a fresh clone all of them."""
    KnownHosts(path).take_over(keys)


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

    def _write_note(self, text: str) -> None:
        """Write nothing."""


def pinned_key(path: Path, connection: Connection) -> str:
    """Return the public host key that a file has pinned for a machine, "" where it has none."""
    pinned = UnchangedKnownHosts(path).pinned(host_entry(connection.hostname, connection.port))
    return f"{pinned.get_name()} {pinned.get_base64()}" if pinned else ""

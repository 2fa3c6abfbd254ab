"""Pinned host keys of a service outside of tasks: keys imported with a state, and a read-only view for checks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts


def pin_keys_of_state(path: Path, keys: Mapping[str, str]) -> None:
    """Pin host keys from the state that are not pinned yet; in a fresh clone that is all of them."""
    KnownHosts(path).take_over(keys)


def pin_key(path: Path, connection: Connection, key: str) -> None:
    """Pin the public host key of a machine, in the form ``ssh-ed25519 AAAA…``."""
    KnownHosts(path).pin_line(host_entry(connection.hostname, connection.port), key)


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


def pinned_key(path: Path, connection: Connection) -> str:
    """Return the public host key that a file has pinned for a machine, "" if there is none."""
    pinned = UnchangedKnownHosts(path).pinned(host_entry(connection.hostname, connection.port))
    return f"{pinned.get_name()} {pinned.get_base64()}" if pinned else ""

"""Pinned host keys of a service outside of tasks: keys imported with a state, and the key of one machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.unchanged_hosts import UnchangedKnownHosts


def pin_keys_of_state(path: Path, keys: Mapping[str, str]) -> None:
    """Pin host keys from the state that are not pinned yet; in a fresh clone that is all of them."""
    KnownHosts(path).take_over(keys)


def pin_key(path: Path, connection: Connection, key: str) -> None:
    """Pin the public host key of a machine, in the form ``ssh-ed25519 AAAA…``."""
    KnownHosts(path).pin_line(host_entry(connection.hostname, connection.port), key)


def pinned_key(path: Path, connection: Connection) -> str:
    """Return the public host key that a file has pinned for a machine, "" if there is none."""
    pinned = UnchangedKnownHosts(path).pinned(host_entry(connection.hostname, connection.port))
    return f"{pinned.get_name()} {pinned.get_base64()}" if pinned else ""

"""The host keys that a state remembers, and which of them this folder has pinned before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.provider import NodeRecord, Provider
from dtk.nodes.records import HOST_KEY, record_of
from dtk.state.model import State


def host_entry(hostname: str, port: int) -> str:
    """Return a machine's name in known_hosts."""
    return hostname if port == SSH_PORT else f"[{hostname}]:{port}"


def state_keys(provider: Provider, state: State) -> dict[str, str]:
    """Return the host keys that a state remembers, by the machines' names in known_hosts."""
    keys = {}
    for name, node in state.nodes.items():
        key = node.attributes.get(HOST_KEY)
        if isinstance(key, str) and node.status == "running":
            record = record_of(name, node)
            connection = provider.connection_to(record)
            # dtk.yaml may lead to another machine by now, whose key it is not.
            if connection.port == record.connection.port and connection.hostname in _addresses(record):
                keys[host_entry(connection.hostname, connection.port)] = key
    return keys


def _addresses(record: NodeRecord) -> set[object]:
    """Return the addresses under which a machine is known to the state."""
    known = ("host_address", "public_address", "private_address", "dns_name")
    return {record.connection.hostname, *(record.attributes.get(name) for name in known)}


def host_line(entry: str, public_key: str) -> str:
    """Return a line of known_hosts for a key given as ``ssh-ed25519 AAAA…``; a comment in it is left out."""
    return f"{entry} {' '.join(public_key.split()[:2])}"


def host_lines(keys: Mapping[str, str]) -> str:
    """Return the lines of known_hosts for keys by the machines' names there."""
    return "".join(f"{host_line(entry, key)}\n" for entry, key in sorted(keys.items()))


def taken_over_file(known_hosts: Path) -> Path:
    """Return the file that says which keys a state had when they were pinned from it last, in lines as there.

    A key that a state has since then comes from another clone, and counts. One that it had before does not: if it is
    not pinned any more, somebody took it out of known_hosts.
    """
    return known_hosts.with_name(f"{known_hosts.name}.state")


def are_taken_over(known_hosts: Path, keys: Mapping[str, str]) -> bool:
    """Say whether a state has no other keys than when they were pinned from it last."""
    try:
        return known_hosts.exists() and taken_over_file(known_hosts).read_text(encoding="utf-8") == host_lines(keys)
    except FileNotFoundError:
        return not keys

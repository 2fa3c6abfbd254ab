"""The host keys in a state, and which of them this folder has already pinned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.provider import NodeRecord, Provider
from dtk.nodes.records import HOST_KEY, record_of
from dtk.state.model import State


def host_entry(hostname: str, port: int) -> str:
    """Return the name of a machine in known_hosts."""
    return hostname if port == SSH_PORT else f"[{hostname}]:{port}"


def state_keys(provider: Provider, state: State) -> dict[str, str]:
    """Return the host keys in a state, by the machines' names in known_hosts."""
    keys = {}
    for name, node in state.nodes.items():
        key = node.attributes.get(HOST_KEY)
        if isinstance(key, str) and node.status == "running":
            record = record_of(name, node)
            connection = provider.connection_to(record)
            # dtk.yaml may lead to another machine by now, which has another key.
            if connection.port == record.connection.port and connection.hostname in _addresses(record):
                keys[host_entry(connection.hostname, connection.port)] = key
    return keys


def _addresses(record: NodeRecord) -> set[object]:
    """Return the addresses of a machine that the state knows."""
    known = ("host_address", "public_address", "private_address", "dns_name")
    return {record.connection.hostname, *(record.attributes.get(name) for name in known)}


def host_line(entry: str, public_key: str) -> str:
    """Return a known_hosts line for a key in the form ``ssh-ed25519 AAAA…``; a comment in it is dropped."""
    return f"{entry} {' '.join(public_key.split()[:2])}"


def host_lines(keys: Mapping[str, str]) -> str:
    """Return the known_hosts lines for keys by the machines' names there."""
    return "".join(f"{host_line(entry, key)}\n" for entry, key in sorted(keys.items()))


def taken_over_file(known_hosts: Path) -> Path:
    """Return the file that records, as known_hosts lines, which keys a state had when they were last pinned from it.

    A key that a state got since then comes from another clone and must be pinned. A key that it had before must not:
    if it is no longer pinned, somebody removed it from known_hosts.
    """
    return known_hosts.with_name(f"{known_hosts.name}.state")


def are_taken_over(known_hosts: Path, keys: Mapping[str, str]) -> bool:
    """Return whether a state has the same keys as when they were last pinned from it."""
    try:
        return known_hosts.exists() and taken_over_file(known_hosts).read_text(encoding="utf-8") == host_lines(keys)
    except FileNotFoundError:
        return not keys

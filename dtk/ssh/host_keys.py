"""Host keys pinned in the service's own known_hosts: the first one seen is kept, any other is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.provider import Provider
from dtk.nodes.records import HOST_KEY, record_of
from dtk.state.files import make_private_folder, replace_file
from dtk.state.model import State


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it: ``ssh-ed25519 SHA256:…``."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def host_entry(hostname: str, port: int) -> str:
    """Return a machine's name in known_hosts."""
    return hostname if port == SSH_PORT else f"[{hostname}]:{port}"


def state_keys(provider: Provider, state: State) -> dict[str, str]:
    """Return the host keys that a state remembers, by the machines' names in known_hosts."""
    keys = {}
    for name, node in state.nodes.items():
        key = node.attributes.get(HOST_KEY)
        if isinstance(key, str) and node.status == "running":
            connection = provider.connection_to(record_of(name, node))
            keys[host_entry(connection.hostname, connection.port)] = key
    return keys


class KnownHosts:
    """A known_hosts file with one writer. It is read anew each time: nothing is remembered that the file forgot."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pinned(self, entry: str) -> paramiko.PKey | None:
        """Return the key that is pinned for a machine, None before first contact."""
        for line in self._lines():
            found = _parsed(line)
            if found and entry in found.hostnames and found.key:
                return found.key
        return None

    def pin(self, entry: str, key: paramiko.PKey) -> None:
        """Pin a machine's key in place of any other."""
        line = HostKeyEntry([entry], key).to_line() or ""
        self._write([*self._others(entry), line.rstrip("\n")])

    def pin_line(self, entry: str, public_key: str) -> None:
        """Pin a key that the target itself knows, given as ``ssh-ed25519 AAAA…``."""
        self._write([*self._others(entry), f"{entry} {' '.join(public_key.split()[:2])}"])

    def seed(self, keys: Mapping[str, str]) -> None:
        """Pin keys that a state brought along (entry → ``ssh-ed25519 AAAA…``), where there is no file yet."""
        if keys and not self._lines() and not self.path.exists():
            self._write([f"{entry} {' '.join(key.split()[:2])}" for entry, key in keys.items()])

    def forget(self, entry: str) -> None:
        """Drop the key of a machine that is no more; another one may get its address."""
        others = self._others(entry)
        if others != self._lines():
            self._write(others)

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _others(self, entry: str) -> list[str]:
        return [line for line in self._lines() if entry not in line.partition(" ")[0].split(",")]

    def _write(self, lines: list[str]) -> None:
        make_private_folder(self.path.parent)
        replace_file(self.path, "".join(f"{line}\n" for line in lines))


def _parsed(line: str) -> HostKeyEntry | None:
    try:
        return HostKeyEntry.from_line(line)
    except paramiko.SSHException:
        return None


class PinPolicy(paramiko.MissingHostKeyPolicy):
    """Paramiko's answer to a machine without a pinned key: pin it."""

    def __init__(self, known: KnownHosts) -> None:
        self._known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - its signature is paramiko's
        """Pin the key of a machine at first contact; ``hostname`` is its entry's name already."""
        self._known.pin(hostname, key)

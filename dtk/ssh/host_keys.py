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
from dtk.state.files import append_line, make_private_folder, replace_file
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


_Identity = tuple[int, int, int] | None


class KnownHosts:
    """A known_hosts file with one writer. It is kept in memory, and read anew when somebody else has changed it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_as: _Identity = None
        self._lines: list[str] = []
        self._by_host: dict[str, str] = {}
        self._is_torn = False

    def pinned(self, entry: str) -> paramiko.PKey | None:
        """Return the key that is pinned for a machine, None before first contact."""
        self._refresh()
        found = _parsed(self._by_host.get(entry, ""))
        return found.key if found else None

    def pin(self, entry: str, key: paramiko.PKey) -> None:
        """Pin a machine's key in place of any other."""
        self.pin_line(entry, f"{key.get_name()} {key.get_base64()}")

    def pin_line(self, entry: str, public_key: str) -> None:
        """Pin a key that the target itself knows, given as ``ssh-ed25519 AAAA…``."""
        self._refresh()
        line = _line(entry, public_key)
        known = self._by_host.get(entry)
        if known == line:
            return
        if known is None:
            # One line more: what is there is not written anew for each of many machines.
            self._append(line)
            self._lines.append(line)
            self._by_host[entry] = line
            self._read_as = self._identity()
        else:
            self._replace([*self._others(entry), line])

    def seed(self, keys: Mapping[str, str]) -> None:
        """Pin keys that a state brought along (entry → ``ssh-ed25519 AAAA…``), where there is no file yet."""
        self._refresh()
        if keys and not self._lines and not self.path.exists():
            self._replace([_line(entry, key) for entry, key in keys.items()])

    def forget(self, entry: str) -> None:
        """Drop the key of a machine that is no more; another one may get its address."""
        self._refresh()
        if entry in self._by_host:
            self._replace(self._others(entry))

    def _others(self, entry: str) -> list[str]:
        return [line for line in self._lines if entry not in _hosts_of(line)]

    def _refresh(self) -> None:
        # dtk ssh and other tasks of the workspace write the same file; reading it for each connection would be too
        # much.
        identity = self._identity()
        if identity != self._read_as:
            text = self.path.read_text(encoding="utf-8") if identity else ""
            self._is_torn = bool(text) and not text.endswith("\n")
            self._know(text.splitlines())
            self._read_as = identity

    def _know(self, lines: list[str]) -> None:
        self._lines = lines
        self._by_host = {host: line for line in reversed(lines) for host in _hosts_of(line) if _parsed(line)}

    def _replace(self, lines: list[str]) -> None:
        self._write(lines)
        self._is_torn = False
        self._know(lines)
        self._read_as = self._identity()

    def _identity(self) -> _Identity:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _append(self, line: str) -> None:
        make_private_folder(self.path.parent)
        # A line that a crash has torn is no host's, and the next begins behind it.
        append_line(self.path, f"\n{line}" if self._is_torn else line)
        self._is_torn = False

    def _write(self, lines: list[str]) -> None:
        make_private_folder(self.path.parent)
        replace_file(self.path, "".join(f"{line}\n" for line in lines))


def _line(entry: str, public_key: str) -> str:
    return f"{entry} {' '.join(public_key.split()[:2])}"


def _hosts_of(line: str) -> list[str]:
    return line.partition(" ")[0].split(",")


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

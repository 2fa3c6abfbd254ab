"""Host keys pinned in the service's known_hosts: the first key seen is trusted, any other is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from dtk.disk.files import append_line, make_private_folder, replace_file
from dtk.nodes.remembered_keys import are_taken_over, host_line, host_lines, taken_over_file


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it: ``ssh-ed25519 SHA256:…``."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


def key_text(key: paramiko.PKey) -> str:
    """Return a public key in the form ``ssh-ed25519 AAAA…``."""
    return f"{key.get_name()} {key.get_base64()}"


def key_of_text(text: str) -> paramiko.PKey:
    """Return the public key that ``key_text`` describes."""
    kind, encoded = text.split()
    return paramiko.PKey.from_type_string(kind, base64.b64decode(encoded))


_Identity = tuple[int, int, int] | None


class KnownHosts:
    """A known_hosts file, cached in memory and reloaded when another process has changed it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_as: _Identity = None
        self._lines: list[str] = []
        self._by_host: dict[str, str] = {}
        self._is_torn = False
        self.unsettled: set[str] = set()
        """Entries of machines whose first boot may still replace their host keys; they are pinned after it."""

    def pinned(self, entry: str) -> paramiko.PKey | None:
        """Return the key pinned for a machine, or None before first contact."""
        self._refresh()
        found = _parsed(self._by_host.get(entry, ""))
        return found.key if found else None

    def pin(self, entry: str, key: paramiko.PKey) -> None:
        """Pin a machine's key and replace any other."""
        self.pin_line(entry, key_text(key))

    def pin_line(self, entry: str, public_key: str) -> None:
        """Pin a key that the target reports, in the form ``ssh-ed25519 AAAA…``."""
        self._refresh()
        line = host_line(entry, public_key)
        known = self._by_host.get(entry)
        if known == line:
            return
        if known is None:
            # Append one line: with many machines, rewriting the file for each would be slow.
            self._append(line)
            self._lines.append(line)
            self._by_host[entry] = line
            self._read_as = self._identity()
        else:
            self._replace([*self._others(entry), line])

    def take_over(self, keys: Mapping[str, str]) -> None:
        """Pin keys from a state (entry → ``ssh-ed25519 AAAA…``) that it did not have the last time.

        If its last keys are unknown, only machines without a pinned key get one.
        """
        self._refresh()
        noted = self._noted()
        new = {
            entry: line
            for entry, key in keys.items()
            if (line := host_line(entry, key)) != self._by_host.get(entry)
            and (entry not in self._by_host if noted is None else line not in noted)
        }
        if new:
            kept = [line for line in self._lines if not new.keys() & set(_hosts_of(line))]
            self._replace([*kept, *new.values()])
        self.note(keys)

    def note(self, keys: Mapping[str, str]) -> None:
        """Record which keys a state has, so that ``take_over`` pins only those that others add."""
        # Without the record, a key that others change must be removed by hand: no reason to end a task.
        with suppress(OSError):
            if not are_taken_over(self.path, keys) and self.path.exists():
                self._write_note(host_lines(keys))

    def _noted(self) -> set[str] | None:
        """Return the lines that the state had last, or None if that is unknown or there is no known_hosts."""
        if not self.path.exists():
            return None
        try:
            return set(taken_over_file(self.path).read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return None

    def _write_note(self, text: str) -> None:
        make_private_folder(self.path.parent)
        replace_file(taken_over_file(self.path), text)

    def forget(self, entry: str) -> None:
        """Remove the key of a machine that no longer exists; another machine may get its address."""
        self._refresh()
        if entry in self._by_host:
            self._replace(self._others(entry))

    def _others(self, entry: str) -> list[str]:
        return [line for line in self._lines if entry not in _hosts_of(line)]

    def _refresh(self) -> None:
        # dtk ssh and other tasks of the workspace write the same file. Reading it again for every connection would be
        # too slow.
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
        # A line that a crash cut off belongs to no host; the next line starts after it.
        append_line(self.path, f"\n{line}" if self._is_torn else line)
        self._is_torn = False

    def _write(self, lines: list[str]) -> None:
        make_private_folder(self.path.parent)
        replace_file(self.path, "".join(f"{line}\n" for line in lines))


def _hosts_of(line: str) -> list[str]:
    return line.partition(" ")[0].split(",")


def _parsed(line: str) -> HostKeyEntry | None:
    try:
        return HostKeyEntry.from_line(line)
    except paramiko.SSHException:
        return None


class PinPolicy(paramiko.MissingHostKeyPolicy):
    """Paramiko policy for a machine without a pinned key: pin it."""

    def __init__(self, known: KnownHosts) -> None:
        self._known = known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - its signature is paramiko's
        """Pin the key of a machine at first contact; ``hostname`` is already the name of its entry."""
        if hostname not in self._known.unsettled:
            self._known.pin(hostname, key)

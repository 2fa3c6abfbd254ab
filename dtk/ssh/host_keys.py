"""Host keys pinned in the service's own known_hosts: the first one seen is kept, any other is refused."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry

from dtk.nodes.remembered_keys import are_taken_over, host_line, host_lines, taken_over_file
from dtk.state.files import append_line, make_private_folder, replace_file


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it: ``ssh-ed25519 SHA256:…``."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{key.get_name()} SHA256:{digest}"


_Identity = tuple[int, int, int] | None


class KnownHosts:
    """A known_hosts file with one writer. It is kept in memory, and read anew when somebody else has changed it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_as: _Identity = None
        self._lines: list[str] = []
        self._by_host: dict[str, str] = {}
        self._is_torn = False
        self.unsettled: set[str] = set()
        """Machines whose first boot goes on, which may give them other keys: they are pinned after it."""

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
        line = host_line(entry, public_key)
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

    def take_over(self, keys: Mapping[str, str]) -> None:
        """Pin keys that a state brought along (entry → ``ssh-ed25519 AAAA…``) and did not have the last time.

        Where it is not known what it had, only machines without a pinned key get theirs.
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
        """Note which keys a state has, so that ``take_over`` pins those alone that others add."""
        # Without it a key that others change has to be taken out by hand: no reason to end a task.
        with suppress(OSError):
            if not are_taken_over(self.path, keys) and self.path.exists():
                self._write_note(host_lines(keys))

    def _noted(self) -> set[str] | None:
        """Return the lines that the state had last; None where that is not known, or where there is no known_hosts."""
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
        if hostname not in self._known.unsettled:
            self._known.pin(hostname, key)

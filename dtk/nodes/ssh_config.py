"""Settings of the user's ``~/.ssh/config`` for the connection to a node, for targets with ``ssh_config: true``."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dtk.errors import InvalidError
from dtk.model.ssh_address import SSH_PORT, SshAddress, parse_jumps
from dtk.nodes.provider import Connection
from dtk.nodes.proxy_command import check_proxied

if TYPE_CHECKING:
    from paramiko.config import SSHConfig, SSHConfigDict

_NONE = "none"
_DEEPEST = 8
"""Maximum depth of jump hosts that need other jump hosts, and of files that include other files."""


def with_ssh_config(connection: Connection, *, has_way: bool) -> Connection:
    """Return a connection with settings that dtk.yaml lacks taken from ``~/.ssh/config``.

    HostName, Port, User, IdentityFile, ProxyCommand and ProxyJump are used, looked up by the node's address and by the
    names of its jump hosts.

    Args:
        connection: the connection from dtk.yaml.
        has_way: whether dtk.yaml has a proxy command for it.

    Raises:
        InvalidError: the file can't be read, or its jump hosts form a circle.
    """
    config = _config(_said(connection))
    if config is None or not connection.hostname:
        return connection
    found = _looked_up(config, connection.hostname)
    way = connection
    if not (connection.jump or has_way):
        way = replace(way, proxy_command=found.get("proxycommand", "") or "", jump=_jump_of(found))
        way = replace(way, jump="") if way.proxy_command else way
    way = replace(
        way,
        hostname=found["hostname"],
        port=int(found.get("port", connection.port)),
        user=found.get("user", connection.user),
        key=connection.key or _identity(found),
    )
    if way.proxy_command:
        check_proxied(way)
    return _with_jumps(_config("") or config, way)


def _said(connection: Connection) -> str:
    """Return dtk.yaml's settings as lines to precede the file: the first value wins there, also within commands."""
    port = f"Port {connection.port}\n" if connection.port != SSH_PORT else ""
    return f"{port}User {connection.user}\n" if connection.user else port


def _with_jumps(config: SSHConfig, connection: Connection) -> Connection:
    jumps, keys = _jumps(config, connection.jump, 0)
    return replace(connection, jump=",".join(map(str, jumps)), jump_key=connection.jump_key or next(iter(keys), ""))


def _jumps(config: SSHConfig, text: str, depth: int) -> tuple[list[SshAddress], list[str]]:
    """Return the jump hosts in order, including those needed to reach the first, and the keys named for them."""
    if depth > _DEEPEST:
        raise InvalidError(f"the jump hosts of {_file()} lead in a circle: {text}", hint="correct its ProxyJump lines")
    ways: list[SshAddress] = []
    keys: list[str] = []
    for jump in parse_jumps(text.replace("ssh://", "")):
        found = _looked_up(config, jump.host)
        if not ways and _jump_of(found):
            before, their_keys = _jumps(config, _jump_of(found), depth + 1)
            ways, keys = [*before], [*their_keys]
        port = jump.port if jump.port != SSH_PORT else int(found.get("port", SSH_PORT))
        ways.append(SshAddress(found["hostname"], port, jump.user or found.get("user", "")))
        keys += [key] if (key := _identity(found)) else []
    return ways, keys


def _jump_of(found: SSHConfigDict) -> str:
    jump = str(found.get("proxyjump", "") or "")
    return "" if jump.lower() == _NONE else jump


def _identity(found: SSHConfigDict) -> str:
    files = [Path(file).expanduser() for file in found.get("identityfile", [])]
    return next((str(file) for file in files if file.exists()), "")


def _looked_up(config: SSHConfig, host: str) -> SSHConfigDict:
    from paramiko.ssh_exception import SSHException  # noqa: PLC0415 - slow to import

    try:
        return config.lookup(host)
    except (SSHException, ImportError, ValueError) as error:
        raise InvalidError(
            f"{_file()} can't be used for {host}: {error}", hint="correct it, or set ssh_config: false"
        ) from None


def _config(before: str) -> SSHConfig | None:
    """Return the settings in the file, preceded by some lines; None if there is no file."""
    from paramiko.config import SSHConfig  # noqa: PLC0415 - slow to import
    from paramiko.ssh_exception import SSHException  # noqa: PLC0415

    file = _file()
    try:
        text = _with_included(file, file.stat().st_mtime_ns)
        return SSHConfig.from_text(before + text)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, SSHException, ValueError) as error:
        raise InvalidError(f"{file} can't be read: {error}", hint="correct it, or set ssh_config: false") from None


def _file() -> Path:
    return Path("~/.ssh/config").expanduser()


@lru_cache(maxsize=4)
def _with_included(file: Path, _changed: int) -> str:
    return "\n".join(_lines(file, 0))


def _lines(file: Path, depth: int) -> list[str]:
    """Return a file's lines with those of included files, because paramiko ignores Include."""
    lines: list[str] = []
    section = "Host *"
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.replace("=", " ", 1).split()
        keyword = words[0].lower() if words else ""
        if keyword in ("host", "match"):
            section = line
        if keyword != "include" or depth >= _DEEPEST:
            lines.append(line)
            continue
        for pattern in words[1:]:
            # Relative to ~/.ssh, as in OpenSSH.
            named = _file().parent / Path(pattern.strip('"')).expanduser()
            for found in sorted(named.parent.glob(named.name)):
                lines += _lines(found, depth + 1)
        lines.append(section)
    return lines

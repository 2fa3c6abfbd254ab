"""Settings of the user's ``~/.ssh/config`` for the connection to a node, for targets with ``ssh_config: true``."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv4Address
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dtk.errors import InvalidError
from dtk.model.ssh_address import HIGHEST_PORT, SSH_PORT, SshAddress, parse_jumps
from dtk.nodes.provider import Connection
from dtk.nodes.proxy_command import check_proxied
from dtk.nodes.ssh_config_text import config_text

if TYPE_CHECKING:
    from paramiko.config import SSHConfig, SSHConfigDict

_NONE = "none"
_DEEPEST = 8
"""Maximum depth of jump hosts that need other jump hosts."""
_SECTIONS = re.compile(r"^(?:host|match) (.*)$", re.MULTILINE)
_WILDCARD = re.compile(r"[*?]")
_FILLINGS = ("1", "1.1", "1.1.1", "16.1.1", "168.1.1", "1.1.1.1", "10.1.1.1")
"""What * may stand for, in public and in private addresses."""


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
    config = _config()
    if config is None or not connection.hostname:
        return connection
    found = _looked_up(_file(), _said(connection) + config, connection.hostname)
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
    return _with_jumps(config, way)


def sample_addresses(*, private: bool) -> list[str]:
    """Return one address for each pattern of the file that stands for many addresses, before the real ones are known.

    Raises:
        InvalidError: the file can't be read.
    """
    config = _config() or ""
    patterns = {word for line in _SECTIONS.findall(config) for word in re.split(r"""[\s,"']+""", line)}
    found = (_address_like(pattern, private=private) for pattern in sorted(patterns | {"*"}))
    return [address for address in found if address]


def _address_like(pattern: str, *, private: bool) -> str:
    """Return an address that matches a pattern with a wildcard, "" if there is none."""
    if not _WILDCARD.search(pattern):
        return ""
    for some, one in product(_FILLINGS, "10"):
        with suppress(ValueError):
            address = IPv4Address(pattern.replace("*", some).replace("?", one))
            if address.is_private is private:
                return str(address)
    return ""


def _said(connection: Connection) -> str:
    """Return dtk.yaml's settings as lines to precede the file: the first value wins there, also within commands."""
    port = f"Port {connection.port}\n" if connection.port != SSH_PORT else ""
    return f"{port}User {connection.user}\n" if connection.user else port


def _with_jumps(config: str, connection: Connection) -> Connection:
    jumps, keys = _jumps(config, connection.jump, 0)
    own = () if connection.jump_key or not any(keys) else tuple(keys)
    return replace(connection, jump=",".join(map(str, jumps)), jump_keys=own)


def _jumps(config: str, text: str, depth: int) -> tuple[list[SshAddress], list[str]]:
    """Return the jump hosts in order, including those needed to reach the first, and the key of each, "" for none."""
    if depth > _DEEPEST:
        raise InvalidError(f"the jump hosts of {_file()} form a loop: {text}", hint="correct its ProxyJump lines")
    ways: list[SshAddress] = []
    keys: list[str] = []
    for jump in parse_jumps(text.replace("ssh://", "")):
        found = _looked_up(_file(), config, jump.host)
        if not ways and _jump_of(found):
            before, their_keys = _jumps(config, _jump_of(found), depth + 1)
            ways, keys = [*before], [*their_keys]
        port = jump.port if jump.port != SSH_PORT else int(found.get("port", SSH_PORT))
        ways.append(SshAddress(found["hostname"], port, jump.user or found.get("user", "")))
        keys.append(_identity(found))
    return ways, keys


def _jump_of(found: SSHConfigDict) -> str:
    jump = str(found.get("proxyjump", "") or "")
    return "" if jump.lower() == _NONE else jump


def _identity(found: SSHConfigDict) -> str:
    files = [Path(file).expanduser() for file in found.get("identityfile", [])]
    return next((str(file) for file in files if file.exists()), "")


@lru_cache(maxsize=4096)
def _looked_up(file: Path, text: str, host: str) -> SSHConfigDict:
    """Return the settings for a host; callers must not change them."""
    import paramiko.config  # noqa: PLC0415 - slow to import
    from paramiko.ssh_exception import SSHException  # noqa: PLC0415

    config = _parsed(file, text)
    paramiko.config.invoke = _Shell  # type: ignore[attr-defined, unused-ignore]
    try:
        found = config.lookup(host)
        _check_port(found)
    except (SSHException, ImportError, ValueError, KeyError, RuntimeError, OSError) as error:
        raise InvalidError(
            f"{file} can't be used for {host}: {_why(error)}", hint="correct it, or set ssh_config: false"
        ) from None
    return found


class _Shell:
    """Runs the command of ``Match exec`` for paramiko, whose own way (invoke) fails in a process that uses gevent."""

    @staticmethod
    def run(command: str, **_options: object) -> SimpleNamespace:
        """Run a command of the user's own file in a shell, as OpenSSH does; ``ok`` is whether it succeeded."""
        done = subprocess.run(
            ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        return SimpleNamespace(ok=done.returncode == 0)


def _check_port(found: SSHConfigDict) -> None:
    port = str(found.get("port", SSH_PORT))
    if not port.isdecimal() or not 0 < int(port) <= HIGHEST_PORT:
        raise ValueError(f"Port {port} is not a port number")


def _why(error: Exception) -> str:
    if not isinstance(error, KeyError):
        return str(error)
    if error.args[0] == "canonicaldomains":
        return "CanonicalizeHostname needs CanonicalDomains"
    return f"the name of the current user is not known (set LOGNAME): {error.args[0]}"


@lru_cache(maxsize=64)
def _parsed(file: Path, text: str) -> SSHConfig:
    from paramiko.config import SSHConfig  # noqa: PLC0415 - slow to import
    from paramiko.ssh_exception import SSHException  # noqa: PLC0415

    try:
        return SSHConfig.from_text(text)
    except (SSHException, ValueError) as error:
        raise _unreadable(file, error) from None


def _config() -> str | None:
    """Return the text of the file and of those that it includes; None if there is no file."""
    file = _file()
    try:
        return config_text(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> InvalidError:
    return InvalidError(f"{file} can't be read: {error}", hint="correct it, or set ssh_config: false")


def _file() -> Path:
    try:
        return Path("~/.ssh/config").expanduser()
    except RuntimeError:
        raise InvalidError("ssh_config: your home folder is not known", hint="set HOME, or ssh_config: false") from None

"""An SSH server as people write it, ``user@host:port``: the one parser, and the port that SSH has by default."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dtk.errors import UsageError

SSH_PORT = 22
"""The port of SSH (RFC 4251)."""
HIGHEST_PORT = 65535

# A name or address never begins with "-": OpenSSH would take it for an option. IPv6 with a port stands in brackets.
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s-][^@\s]*)@)?"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]"
    r"|(?P<name>[^@:/,\s\[\]-][^@:/,\s\[\]]*)"
    r"|(?P<ipv6>[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%\w+)?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class SshAddress:
    """Where an SSH server is and who logs in there; ``user`` is "" where it isn't said."""

    host: str
    port: int = SSH_PORT
    user: str = ""

    def __str__(self) -> str:
        login = f"{self.user}@" if self.user else ""
        return f"{login}[{self.host}]:{self.port}" if ":" in self.host else f"{login}{self.host}:{self.port}"


def parse_ssh_address(text: str, default_port: int = SSH_PORT) -> SshAddress:
    """Return what ``[user@]host[:port]`` says; an IPv6 address with a port is ``[2001:db8::1]:2222``.

    Args:
        text: as written.
        default_port: the port where the text names none.

    Raises:
        UsageError: it is written otherwise.
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"] or default_port) if found else 0
    if not found or not 0 < port <= HIGHEST_PORT:
        raise UsageError(f"'{text}' is not an SSH server's address", hint="write user@host:port, IPv6 as [::1]:22")
    return SshAddress(found["bracketed"] or found["name"] or found["ipv6"], port, found["user"] or "")


def parse_jumps(text: str) -> list[SshAddress]:
    """Return the hosts to go through, in order, from ``[user@]host[:port]`` with commas between; none of "".

    Raises:
        UsageError: one of them is written otherwise.
    """
    return [parse_ssh_address(one) for one in text.split(",")] if text else []

"""SSH server addresses as users write them, ``user@host:port``: the only parser, and the default port."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dtk.errors import UsageError

SSH_PORT = 22
"""The default port of SSH (RFC 4251)."""
HIGHEST_PORT = 65535

# A name or address must not begin with "-": OpenSSH would parse it as an option. IPv6 with a port needs brackets.
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s-][^@\s]*)@)?"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]"
    r"|(?P<name>[^@:/,\s\[\]-][^@:/,\s\[\]]*)"
    r"|(?P<ipv6>[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%\w+)?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


@dataclass(frozen=True)
class SshAddress:
    """An SSH server's address and login; ``user`` is "" if not given."""

    host: str
    port: int = SSH_PORT
    user: str = ""

    def __str__(self) -> str:
        login = f"{self.user}@" if self.user else ""
        return f"{login}[{self.host}]:{self.port}" if ":" in self.host else f"{login}{self.host}:{self.port}"


def parse_ssh_address(text: str, default_port: int = SSH_PORT) -> SshAddress:
    """Parse ``[user@]host[:port]``; an IPv6 address with a port is ``[2001:db8::1]:2222``.

    Args:
        text: the address as written.
        default_port: the port to use if the text has none.

    Raises:
        UsageError: the text is not in this form.
    """
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"] or default_port) if found else 0
    if not found or not 0 < port <= HIGHEST_PORT:
        raise UsageError(f"'{text}' is not an SSH server's address", hint="write user@host:port, IPv6 as [::1]:22")
    return SshAddress(found["bracketed"] or found["name"] or found["ipv6"], port, found["user"] or "")


def parse_jumps(text: str) -> list[SshAddress]:
    """Parse a comma-separated list of jump hosts, ``[user@]host[:port]``, in order; "" gives an empty list.

    Raises:
        UsageError: an entry is not in this form.
    """
    return [parse_ssh_address(one) for one in text.split(",")] if text else []

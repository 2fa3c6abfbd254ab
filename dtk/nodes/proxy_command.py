"""The ``proxy_command:`` whose streams lead to a node's SSH server, with the node's own values filled in."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from dtk.errors import InvalidError
from dtk.nodes.provider import Connection

# The characters allowed in the external program's command line: nothing that an option, shell or URL parser interprets.
_VALUE = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:%@+-]*")
_PLACEHOLDER = re.compile(r"\{(id|address|port|user)\}")


def with_proxy_command(connection: Connection, template: str, machine: str) -> Connection:
    """Return a connection with its proxy command filled in, or unchanged without a template.

    Args:
        connection: the address, the port and the user to fill in.
        template: a program and its arguments, quoted as in a shell, with ``{id}``, ``{address}``, ``{port}`` and
            ``{user}``.
        machine: the target's own name of the machine, for ``{id}``.

    Raises:
        InvalidError: the command can't be parsed, or a value has characters that are unsafe on a command line.
    """
    if not template or not machine or not connection.hostname:
        # A stopped machine can't be reached.
        return connection
    values = {"id": machine, "address": connection.hostname, "port": str(connection.port), "user": connection.user}
    # Word by word, so that a value can't change where words begin or end.
    words = [_PLACEHOLDER.sub(lambda found: _checked(found[1], values[found[1]]), word) for word in _split(template)]
    return replace(connection, proxy_command=shlex.join(words), jump="")


def proxy_words(connection: Connection) -> list[str]:
    """Return the program and its arguments; [] for a node without a proxy command."""
    return _split(connection.proxy_command)


def check_proxied(connection: Connection) -> None:
    """Refuse an address or a user that is unsafe on a command line.

    Raises:
        InvalidError: the address or the user is unsafe.
    """
    _checked("address", connection.hostname)
    if connection.user:
        _checked("user", connection.user)


def _checked(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        what = f"is '{value}', which is not safe on a command line" if value else "is unknown"
        raise InvalidError(
            f"proxy_command: the node's {name} {what}",
            hint="name the target's user" if name == "user" else f"remove {{{name}}} from it",
        )
    return value


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidError(
            f"proxy_command can't be read: {error}", hint="check its quotes; it uses shell syntax"
        ) from None

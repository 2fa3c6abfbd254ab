"""Gets an SSH client to a node: waits while it boots, goes through its jump host, trusts only pinned keys."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Any, cast

import gevent
import paramiko
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

from dtk.errors import DtkError
from dtk.model.ssh_address import SshAddress, parse_jumps
from dtk.nodes.provider import Connection
from dtk.nodes.proxy_command import proxy_words
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts, PinPolicy, fingerprint
from dtk.ssh.private_keys import UnreachableError, private_key
from dtk.ssh.proxy import ProxySocket
from dtk.ssh.transport import Attempt, Transport


class HostKeyError(DtkError):
    """A machine shows another host key than the one pinned for it."""


@dataclass(frozen=True)
class Patience:
    """How long to try, in seconds: all in all, jump hosts included, and once.

    One try may take so long until the machine greets, and again from there to the login. The time stands still while a
    login waits for its turn.
    A machine that boots refuses connections, then may refuse the user until cloud-init has put the key there: at
    first contact ``authentication`` is how long that may last after it first answers.
    """

    overall: float = 120.0
    attempt: float = 20.0
    authentication: float = 30.0


_LEAST_SECONDS = 0.1
_PARAMIKO_SECONDS = 24 * 3600.0
"""Paramiko's own bounds: later than the attempt's, which stands still while the login waits for its turn."""
# Why a connection failed is said where it is awaited; paramiko would print a traceback for it as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False
Waiting = Callable[[str], None]
"""Called with the reason, in words, each time an attempt failed and another follows."""


def _pauses() -> Iterator[float]:
    return chain((0.2, 0.5, 1.0, 2.0), repeat(4.0))


def reach(
    connection: Connection, known: KnownHosts, patience: Patience, waiting: Waiting, *, is_new: bool
) -> list[paramiko.SSHClient]:
    """Connect to a machine, trying again while it does not answer.

    Args:
        connection: where it is and who logs in; a host key in it is pinned first.
        known: the service's known hosts.
        patience: how long to try.
        waiting: told why an attempt failed.
        is_new: the machine was made just now, so a refused login may only mean that it is not ready.

    Returns:
        The clients, the machine's own last; those of the hosts on the way stand before it.

    Raises:
        UnreachableError: it did not answer in time, or refused the login.
        HostKeyError: its host key is not the pinned one.
    """
    if connection.host_key:
        known.pin_line(host_entry(connection.hostname, connection.port), connection.host_key)
    deadline = time.monotonic() + patience.overall
    refused_since: float | None = None
    failure: Exception | None = None
    for pause in _pauses():
        attempt = Attempt(patience.attempt, max(deadline - time.monotonic(), _LEAST_SECONDS))
        try:
            return _try(connection, known, attempt)
        except paramiko.PasswordRequiredException:
            raise _only_protected_keys(connection) from None
        except paramiko.AuthenticationException as error:
            failure = error
            refused_since = refused_since or time.monotonic()
            if not is_new or time.monotonic() - refused_since > patience.authentication:
                break
        except (OSError, EOFError, paramiko.SSHException) as error:
            # A last try that is cut short tells less than the one before.
            failure = failure if failure and attempt.is_short else error
        deadline += attempt.waited
        if time.monotonic() + pause >= deadline:
            break
        waiting(f"waiting for SSH on {_address_shown(connection)}: {_reason(failure)}")
        gevent.sleep(pause)
    if isinstance(failure, paramiko.AuthenticationException):
        raise _refused(connection, failure)
    raise UnreachableError(
        f"no SSH connection to {_address_shown(connection)} within {patience.overall:.0f} s: {_reason(failure)}",
        hint="see whether the machine runs, and whether this address and port can be reached from here",
    )


def _reason(failure: Exception | None) -> str:
    if isinstance(failure, paramiko.AuthenticationException):
        return "the login is refused"
    if isinstance(failure, paramiko.ChannelException):
        return f"the jump host cannot reach it: {failure.text}"
    # Paramiko's error of all addresses together has words, and a number that is None.
    words = failure.strerror if isinstance(failure, OSError) else ""
    return words or str(failure) or type(failure).__name__


def _address_shown(connection: Connection) -> str:
    words = proxy_words(connection)
    through = f" through {words[0]}" if words else f" through {connection.jump}" if connection.jump else ""
    return f"{SshAddress(connection.hostname, connection.port)}{through}"


def _refused(connection: Connection, error: Exception, *, own_keys: bool = False) -> UnreachableError:
    user = connection.user or "this user"
    keys = [f"the key {connection.key}"] if connection.key else []
    keys += ["the keys of the SSH agent and of ~/.ssh"] if own_keys or not keys else []
    return UnreachableError(
        f"{_address_shown(connection)} refuses {user} with {' and '.join(keys)}: {error}",
        hint=f"set the target's {'jump and jump_key' if own_keys else 'user and key'} in dtk.yaml",
    )


def _try(connection: Connection, known: KnownHosts, attempt: Attempt) -> list[paramiko.SSHClient]:
    clients: list[paramiko.SSHClient] = []
    try:
        # Paramiko bounds each part of a connection's start by itself, beginning anew with each; a server that sends
        # a byte now and then would hold it up for ever. So its time is this attempt's.
        with attempt:
            channel = None
            jumps = jump_connections(connection)
            for jump, following in zip(jumps, [*jumps, connection][1:], strict=True):
                clients.append(_jump_client(jump, known, attempt, channel))
                channel = _forwarded(clients[-1], jump, following)
            words = proxy_words(connection)
            clients.append(
                _proxied_client(connection, known, attempt, words)
                if words
                else _client(connection, known, attempt, channel)
            )
    except BaseException:
        close_all(clients)
        raise
    return clients


def _proxied_client(
    connection: Connection, known: KnownHosts, attempt: Attempt, words: list[str]
) -> paramiko.SSHClient:
    """Connect over a program's streams; what it said goes into the reason where they end too early."""
    proxy = ProxySocket(words)
    try:
        return _client(connection, known, attempt, cast(socket.socket, proxy))
    except (paramiko.AuthenticationException, DtkError):
        proxy.close()
        raise
    except (OSError, EOFError, paramiko.SSHException) as error:
        why = proxy.last_words()
        proxy.close()
        raise OSError(why) if why else error from None
    except BaseException:
        proxy.close()
        raise


def _jump_client(
    jump: Connection, known: KnownHosts, attempt: Attempt, channel: paramiko.Channel | None
) -> paramiko.SSHClient:
    try:
        return _client(jump, known, attempt, channel, own_keys=True)
    except paramiko.AuthenticationException as error:
        # It was there before the node: waiting does not help.
        raise _refused(jump, error, own_keys=True) from None


def close_all(clients: list[paramiko.SSHClient]) -> None:
    """Close a machine's client and then its jump host's."""
    for client in reversed(clients):
        client.close()


def jump_connections(connection: Connection) -> list[Connection]:
    """Return how the hosts on the way to a machine are reached, in order: with the jump hosts' key, else its own."""
    key = connection.jump_key or connection.key
    return [
        replace(connection, hostname=jump.host, port=jump.port, user=jump.user, jump="", host_key="", key=key)
        for jump in parse_jumps(connection.jump)
    ]


def _forwarded(client: paramiko.SSHClient, jump: Connection, following: Connection) -> paramiko.Channel:
    """Open the way from a jump host to the next host.

    Raises:
        UnreachableError: the jump host forbids it.
        paramiko.ChannelException: it tried, and did not get there.
    """
    transport = client.get_transport()
    if transport is None:
        raise EOFError("the jump host closed the connection")
    there = (following.hostname, following.port)
    try:
        return transport.open_channel("direct-tcpip", there, ("127.0.0.1", 0), timeout=_PARAMIKO_SECONDS)
    except paramiko.ChannelException as error:
        if error.code != OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
            raise
        raise UnreachableError(
            f"the jump host {_address_shown(jump)} does not forward connections to {SshAddress(*there)}",
            hint="see AllowTcpForwarding and PermitOpen in its sshd_config, and what permits this key there",
        ) from None


def _client(
    connection: Connection,
    known: KnownHosts,
    attempt: Attempt,
    channel: paramiko.Channel | socket.socket | None,
    *,
    own_keys: bool = False,
) -> paramiko.SSHClient:
    entry = host_entry(connection.hostname, connection.port)
    client = paramiko.SSHClient()
    pinned = known.pinned(entry)
    if pinned is not None:
        client.get_host_keys().add(entry, pinned.get_name(), pinned)
    client.set_missing_host_key_policy(PinPolicy(known))
    arguments = _arguments(connection, own_keys=own_keys) | {"transport_factory": partial(Transport, attempt=attempt)}
    try:
        client.connect(connection.hostname, sock=channel, **arguments)
    except paramiko.BadHostKeyException as error:
        client.close()
        raise _changed_key(entry, known, error) from None
    except paramiko.SSHException as error:
        why = _why_no_key_fits(connection, error, client.get_transport())
        client.close()
        raise why or error from None
    except BaseException:
        client.close()
        raise
    finally:
        attempt.end_turn()
    return client


def _why_no_key_fits(
    connection: Connection, error: paramiko.SSHException, transport: paramiko.Transport | None
) -> UnreachableError | None:
    """Return why no key was accepted, where waiting does not help; None where it may."""
    place, user = _address_shown(connection), connection.user or "this user"
    if "Too many authentication failures" in getattr(transport, "farewell", ""):
        return UnreachableError(
            f"{place} ended the connection after too many keys of {user}: your SSH agent has more than it allows tries",
            hint="name the one that fits as the target's key in dtk.yaml (jump_key for a jump host)",
        )
    if str(error) == "No authentication methods available":
        return UnreachableError(
            f"no key to log in to {place}: none in dtk.yaml, your SSH agent or ~/.ssh",
            hint="set the target's user and key in dtk.yaml, or: ssh-add FILE",
        )
    return None


def _only_protected_keys(connection: Connection) -> UnreachableError:
    return UnreachableError(
        f"no key can be used to log in to {_address_shown(connection)}: those of ~/.ssh are protected by a passphrase",
        hint="load one into your SSH agent: ssh-add",
    )


def _arguments(connection: Connection, *, own_keys: bool) -> dict[str, Any]:
    bounds = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), _PARAMIKO_SECONDS)
    arguments: dict[str, Any] = {"port": connection.port, **bounds}
    if connection.user:
        arguments["username"] = connection.user
    if connection.key:
        # A jump host is people's own: after the key that is named, theirs are offered.
        own = {"allow_agent": own_keys, "look_for_keys": own_keys}
        return {**arguments, "pkey": private_key(connection.key), **own}
    return arguments


def _changed_key(entry: str, known: KnownHosts, error: paramiko.BadHostKeyException) -> HostKeyError:
    return HostKeyError(
        f"the host key of {entry} has changed: pinned is {fingerprint(error.expected_key)},"
        f" the machine shows {fingerprint(error.key)}; this may be an attack",
        hint=f"if the machine was replaced, remove its old key: ssh-keygen -R '{entry}' -f {known.path}",
    )

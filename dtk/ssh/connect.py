"""Connects an SSH client to a node: waits while it boots, goes through jump hosts, trusts only pinned host keys."""

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
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_FAILED_CONNECT_FAILED
from paramiko.ssh_exception import NoValidConnectionsError

from dtk.errors import DtkError
from dtk.model.ssh_address import SshAddress
from dtk.nodes.provider import Connection
from dtk.nodes.proxy_command import proxy_words
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts, PinPolicy, fingerprint
from dtk.ssh.private_keys import UnreachableError, private_key
from dtk.ssh.proxy import ProxySocket
from dtk.ssh.transport import Attempt, SilenceError, Transport


class HostKeyError(DtkError):
    """A machine presents a host key other than the pinned one."""


class _NoWayError(OSError):
    """A proxy command ended without anything from the machine; contains what it printed last."""


@dataclass(frozen=True)
class Patience:
    """How long to try to connect, in seconds: in total including jump hosts, and per attempt.

    Within an attempt, the machine has ``attempt`` seconds to send its SSH banner, and again as long to complete the
    login. The clock stops while a login waits for its turn.
    A booting machine first refuses connections, then may refuse the user until cloud-init has installed the key.
    ``authentication`` is how long a new machine may refuse the user after its first answer, and ``closed`` how long its
    port may be closed. ``silent`` is how long nothing may answer at its address: a busy machine's system accepts
    connections at once, however late its SSH server answers.
    """

    overall: float = 120.0
    attempt: float = 20.0
    authentication: float = 30.0
    closed: float = 24 * 3600.0
    silent: float = 24 * 3600.0


_LEAST_SECONDS = 0.1
_PARAMIKO_SECONDS = 24 * 3600.0
"""Paramiko's own timeouts, too long to matter: the attempt's timer decides, as it stops during a wait for a turn."""
# The caller reports why a connection failed; paramiko would print a traceback as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False
Waiting = Callable[[str], None]
"""Called with the reason, as text, each time an attempt failed and another one follows."""


def _pauses() -> Iterator[float]:
    return chain((0.2, 0.5, 1.0, 2.0), repeat(4.0))


def reach(
    connection: Connection, known: KnownHosts, patience: Patience, waiting: Waiting, *, is_new: bool
) -> list[paramiko.SSHClient]:
    """Connect to a machine; retry while it does not answer.

    Args:
        connection: address, user and keys; a host key in it is pinned first.
        known: the service's known hosts.
        patience: how long to try.
        waiting: called with the reason why an attempt failed.
        is_new: the machine was just created, so a refused login may only mean that it is not ready yet.

    Returns:
        The clients of the jump hosts, in order, and last the machine's own.

    Raises:
        UnreachableError: it did not answer in time, or refused the login.
        HostKeyError: its host key is not the pinned one.
    """
    if connection.host_key:
        known.pin_line(host_entry(connection.hostname, connection.port), connection.host_key)
    began, bound = time.monotonic(), patience.overall
    deadline = began + bound
    refused_since: float | None = None
    failure: Exception | None = None
    for pause in _pauses():
        attempt = Attempt(patience.attempt, max(deadline - time.monotonic(), _LEAST_SECONDS), patience.silent)
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
            # A last attempt that was cut short says less about the cause than the one before.
            failure = failure if failure and attempt.is_short else error
            if _is_closed(error) or isinstance(error, SilenceError):
                bound = min(bound, patience.silent if isinstance(error, SilenceError) else patience.closed)
                deadline = min(deadline, began + bound)
        deadline += attempt.waited
        if time.monotonic() + pause >= deadline:
            break
        waiting(f"waiting for SSH on {_address_shown(connection)}: {_reason(failure)}")
        gevent.sleep(pause)
    raise _given_up(connection, bound, failure)


def _given_up(connection: Connection, seconds: float, failure: Exception | None) -> UnreachableError:
    if isinstance(failure, paramiko.AuthenticationException):
        return _refused(connection, failure)
    return UnreachableError(
        f"no SSH connection to {_address_shown(connection)} within {seconds:.0f} s: {_reason(failure)}",
        hint="check that the machine is running and that this address and port can be reached from here",
    )


def _is_closed(error: Exception) -> bool:
    """Return whether a connection was refused, or found no way to the machine: waiting helps only while it boots."""
    if isinstance(error, paramiko.ChannelException):
        return error.code == OPEN_FAILED_CONNECT_FAILED
    return isinstance(error, (NoValidConnectionsError, _NoWayError))


def _reason(failure: Exception | None) -> str:
    if isinstance(failure, paramiko.AuthenticationException):
        return "the login is refused"
    if isinstance(failure, paramiko.ChannelException):
        return f"the jump host cannot reach it: {failure.text}"
    # Paramiko's combined error for several addresses has a message, and None as its error number.
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
        # Paramiko applies its timeout to each part of the connection setup separately; a server that sends a byte now
        # and then would block it forever. Therefore the attempt's timer applies.
        with attempt:
            channel = None
            jumps = jump_connections(connection)
            for jump, following in zip(jumps, [*jumps, connection][1:], strict=True):
                clients.append(_jump_client(jump, known, attempt, channel))
                attempt.connecting()
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
    """Connect over a program's streams; an error contains what the program printed last."""
    proxy = ProxySocket(words)
    try:
        return _client(connection, known, attempt, cast(socket.socket, proxy))
    except (paramiko.AuthenticationException, DtkError):
        proxy.close()
        raise
    except (OSError, EOFError, paramiko.SSHException) as error:
        why = proxy.last_words(_reason(error))
        proxy.close()
        raise (_NoWayError if proxy.found_no_way else OSError)(why) from None
    except BaseException:
        proxy.close()
        raise


def _jump_client(
    jump: Connection, known: KnownHosts, attempt: Attempt, channel: paramiko.Channel | None
) -> paramiko.SSHClient:
    try:
        return _client(jump, known, attempt, channel, own_keys=True)
    except paramiko.AuthenticationException as error:
        # The jump host existed before the node: waiting does not help.
        raise _refused(jump, error, own_keys=True) from None


def close_all(clients: list[paramiko.SSHClient]) -> None:
    """Close a machine's client, then those of its jump hosts."""
    for client in reversed(clients):
        client.close()


def jump_connections(connection: Connection) -> list[Connection]:
    """Return the connections of a machine's jump hosts, in order, each with its own key."""
    blank = replace(connection, jump="", jump_keys=(), host_key="")
    return [
        replace(blank, hostname=jump.host, port=jump.port, user=jump.user, key=key) for jump, key in connection.jumps
    ]


def _forwarded(client: paramiko.SSHClient, jump: Connection, following: Connection) -> paramiko.Channel:
    """Open a channel from a jump host to the next host.

    Raises:
        UnreachableError: the jump host does not permit forwarding.
        paramiko.ChannelException: the jump host could not reach the next host.
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
            hint="check AllowTcpForwarding and PermitOpen in its sshd_config, and the options of this key in its"
            " authorized_keys",
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
    """Return why no key was accepted if waiting does not help, else None."""
    place, user = _address_shown(connection), connection.user or "this user"
    if "Too many authentication failures" in getattr(transport, "farewell", ""):
        return UnreachableError(
            f"{place} closed the connection: your SSH agent offered more keys for {user} than the server allows",
            hint="set the target's key in dtk.yaml to the right one (jump_key for a jump host)",
        )
    if str(error) == "No authentication methods available":
        return UnreachableError(
            f"no key to log in to {place}: none in dtk.yaml, your SSH agent or ~/.ssh",
            hint="set the target's user and key in dtk.yaml, or: ssh-add FILE",
        )
    return None


def _only_protected_keys(connection: Connection) -> UnreachableError:
    return UnreachableError(
        f"no key can be used to log in to {_address_shown(connection)}: keys in ~/.ssh are protected by a passphrase",
        hint="load one into your SSH agent: ssh-add",
    )


def _arguments(connection: Connection, *, own_keys: bool) -> dict[str, Any]:
    bounds = dict.fromkeys(("timeout", "banner_timeout", "auth_timeout"), _PARAMIKO_SECONDS)
    arguments: dict[str, Any] = {"port": connection.port, **bounds}
    if connection.user:
        arguments["username"] = connection.user
    if connection.key:
        # Jump hosts are the user's own: after the configured key, the keys of the agent and of ~/.ssh are offered.
        own = {"allow_agent": own_keys, "look_for_keys": own_keys}
        return {**arguments, "pkey": private_key(connection.key), **own}
    return arguments


def _changed_key(entry: str, known: KnownHosts, error: paramiko.BadHostKeyException) -> HostKeyError:
    return HostKeyError(
        f"the host key of {entry} has changed: the pinned key is {fingerprint(error.expected_key)},"
        f" the machine has {fingerprint(error.key)}; this may be an attack",
        hint=f"if the machine was replaced, remove its old key: ssh-keygen -R '{entry}' -f {known.path}",
    )

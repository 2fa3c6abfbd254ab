"""Runs a script on many machines that no task works on, and may keep the connections for a task that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import gevent
import paramiko
from gevent.pool import Pool

from dtk.errors import DtkError
from dtk.nodes.provider import Connection
from dtk.nodes.reach import SILENT_SECONDS
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.connect import Patience, close_all, reach
from dtk.ssh.host_keys import KnownHosts, PinPolicy, key_text
from dtk.ssh.passphrases import unlock
from dtk.ssh.question import ASKED_AT_ONCE, Answer, Question
from dtk.ssh.unchanged_hosts import UnchangedKnownHosts

PATIENCE = Patience(overall=30.0, attempt=20.0, closed=2.0, silent=SILENT_SECONDS)
"""A machine that is busy answers late; one that is closed or silent is reported instead of waited for."""
ANSWER_SECONDS = 20.0
MOST_BYTES = 65536
KEPT_SECONDS = 30.0
"""How long a connection is kept for a task, in seconds."""


class KeptConnections:
    """Connections that were opened to ask a machine: a task that starts soon takes them instead of logging in again."""

    def __init__(self) -> None:
        self._clients: dict[Connection, paramiko.SSHClient] = {}

    def keep(self, connection: Connection, clients: list[paramiko.SSHClient]) -> bool:
        """Keep a machine's connection for a while; return whether it is kept: not if it leads over other machines."""
        way = replace(connection, host_key="")
        if len(clients) > 1 or connection.proxy_command or way in self._clients:
            return False
        self._clients[way] = clients[0]
        gevent.spawn_later(KEPT_SECONDS, self._end, way, clients[0])
        return True

    def _end(self, way: Connection, client: paramiko.SSHClient) -> None:
        if self._clients.get(way) is client:
            del self._clients[way]
            client.close()

    def has(self, connection: Connection) -> bool:
        """Return whether there is an open connection to a machine."""
        client = self._clients.get(replace(connection, host_key=""))
        transport = client.get_transport() if client else None
        return transport is not None and transport.is_active()

    def take(self, connection: Connection, known: KnownHosts) -> list[paramiko.SSHClient] | None:
        """Return the client of a connection that is open to a machine, with its host key checked or pinned.

        Args:
            connection: where it leads.
            known: the pinned host keys, of which the connection itself used none that were added since.

        Returns:
            None if there is no such connection, or if the machine has another key than the pinned one.
        """
        client = self._clients.pop(replace(connection, host_key=""), None)
        transport = client.get_transport() if client else None
        if client is None or transport is None or not transport.is_active():
            return None
        entry, key = host_entry(connection.hostname, connection.port), transport.get_remote_server_key()
        if connection.host_key:
            known.pin_line(entry, connection.host_key)
        pinned = known.pinned(entry)
        if pinned is None:
            PinPolicy(known).missing_host_key(client, entry, key)
        elif pinned != key:
            client.close()
            return None
        return [client]


def ask_all(question: Question, kept: KeptConnections | None = None) -> dict[str, Answer]:
    """Run a script on machines in parallel; return the answer of each.

    Args:
        question: the script and the machines.
        kept: receives the connections; without it, they are closed.
    """
    unlock(question.passphrases)
    known, pool = UnchangedKnownHosts(question.known_hosts), Pool(ASKED_AT_ONCE)
    asked = {
        name: pool.spawn(_ask, connection, question.script, known.copy(), kept)
        for name, connection in question.connections.items()
    }
    pool.join(raise_error=True)
    return {name: cast(Answer, one.value) for name, one in asked.items()}


def _ask(connection: Connection, script: str, known: KnownHosts, kept: KeptConnections | None) -> Answer:
    try:
        clients = reach(connection, known, PATIENCE, lambda _: None, is_new=False)
    except DtkError as error:
        return {"error": error.message, "hint": error.hint}
    is_kept = False
    try:
        stdin, stdout, _ = clients[-1].exec_command("sh -s", timeout=ANSWER_SECONDS)
        stdin.write(script)
        stdin.channel.shutdown_write()
        printed = stdout.read(MOST_BYTES).decode("utf-8", "replace")
        answer = {"printed": printed, "host_key": _host_key(clients[-1])}
        is_kept = kept is not None and kept.keep(connection, clients)
    except (OSError, EOFError, paramiko.SSHException) as error:
        answer = {"error": f"could not connect to {connection.hostname}:{connection.port}: {error}"}
    finally:
        if not is_kept:
            close_all(clients)
    return answer


def _host_key(client: paramiko.SSHClient) -> str:
    transport = client.get_transport()
    return key_text(transport.get_remote_server_key()) if transport else ""

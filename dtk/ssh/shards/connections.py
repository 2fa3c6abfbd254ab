"""The connections of a task's nodes, spread over several processes; a node stays in its process for the whole task."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import replace

import gevent
import paramiko

from dtk.errors import DtkError
from dtk.model.executor import Executor
from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry, host_line
from dtk.ssh.channels import ConnectionLostError, Ended
from dtk.ssh.connect import Patience, Waiting, jump_connections
from dtk.ssh.connections import Connections, NodeConnection, OpenedBefore, OwnConnections
from dtk.ssh.exchange import GiveBytes, Input
from dtk.ssh.host_keys import KnownHosts, key_of_text, key_text
from dtk.ssh.private_keys import UnreachableError, key_file
from dtk.ssh.shards.messages import CommandEnded, GivenKey, Open, Opened, Piece, Run
from dtk.ssh.shards.shard_link import PinKey, ShardCall, ShardLink

NODES_A_SHARD = 150
"""Minimum number of nodes per process that ``auto`` starts: on two cores, a second one pays off at 300 nodes.

Measured with simulated nodes: a converge took 1.08 times as long with two as with one at 100, 0.91 at 300, 0.79 at 600.
"""


def connections_for(nodes: int, executor: Executor, owner: str, kept: OpenedBefore | None = None) -> Connections:
    """Return what holds the connections of a task.

    Args:
        nodes: the number of nodes in the task.
        executor: the number of processes that hold connections, and where they run. On this machine, 1 means the
            calling process alone; 0 means as many as this process may use cores, but not more than there are
            ``NODES_A_SHARD`` nodes for each.
        owner: names the task in process lists.
        kept: connections that the calling process has open already.
    """
    if executor.dask is not None:
        return ShardConnections(max(executor.workers, 1), owner, executor)
    count = executor.workers or min(_cores(), nodes // NODES_A_SHARD)
    return ShardConnections(count, owner, executor) if count > 1 else OwnConnections(kept)


def _cores() -> int:
    """Return the number of cores that this process may use; macOS only knows how many there are."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


class ShardConnections:
    """Connections that shards hold. A shard starts with its first node, and again after it was lost."""

    def __init__(self, count: int, owner: str, executor: Executor) -> None:
        """``count`` is the number of shards; ``owner`` names the task in process lists."""
        self.count = count
        self._executor = executor
        self._owner = owner
        self._shards: list[gevent.Greenlet | None] = [None] * count
        self._places: dict[str, int] = {}

    def open(
        self,
        node: str,
        connection: Connection,
        known: KnownHosts,
        patience: Patience,
        waiting: Waiting,
        *,
        is_new: bool,
    ) -> NodeConnection:
        """Connect to a node, in its shard.

        Raises:
            UnreachableError, HostKeyError: as ``dtk.ssh.connect.reach``.
            ConnectionLostError: the shard was lost meanwhile.
            DtkError: the shard can't be started.
        """
        shard = self._shard_of(node)
        entries = _entries(connection)
        if connection.host_key:
            known.pin_line(entries[-1], connection.host_key)
        with shard.call(node, waiting=waiting, pin=_pinning(known)) as call:
            if self._executor.dask is not None:
                _give_keys(shard, connection)
            shard.send(
                Open(
                    call.number,
                    node,
                    replace(connection, host_key=""),
                    patience,
                    is_new,
                    str(known.path),
                    [host_line(entry, key_text(key)) for entry in entries if (key := known.pinned(entry))],
                    [entry for entry in entries if entry in known.unsettled],
                )
            )
            opened: Opened = call.answer.get()
        return ShardConnection(node, shard, call.number, key_of_text(opened.host_key) if opened.host_key else None)

    def _shard_of(self, node: str) -> ShardLink:
        # In turn, so that each has as many nodes as the others.
        place = self._places.setdefault(node, len(self._places) % self.count)
        start = self._shards[place]
        if start is None or (start.ready() and (not isinstance(start.value, ShardLink) or start.value.is_over)):
            # In a greenlet of its own: several nodes wait for one start, and no cancel may interrupt it half-way.
            start = self._shards[place] = gevent.spawn(_started, self._owner, self._executor, place)
        shard: ShardLink | OSError = start.get()
        if isinstance(shard, OSError):
            limit = (
                "ulimit -n"
                if shard.errno in (errno.EMFILE, errno.ENFILE)
                else "ulimit -u and the machine's free memory"
            )
            raise DtkError(
                f"cannot start another process for the connection to {node}: {shard.strerror}",
                hint=f"see {limit}; or use one process for all connections: --workers 1",
            )
        return shard

    def end(self) -> None:
        """End all shards, and wait until they have ended."""
        starts = [start for start in self._shards if start is not None]
        gevent.joinall(starts)
        for start in starts:
            if isinstance(start.value, ShardLink):
                start.value.end()


def _started(owner: str, executor: Executor, place: int) -> ShardLink | OSError:
    """Return a new shard, or why the machine refuses another process."""
    try:
        return ShardLink(owner, executor, place)
    except OSError as error:
        return error


def _give_keys(shard: ShardLink, connection: Connection) -> None:
    """Send the keys of a node and its jump hosts, whose files are on this machine.

    Raises:
        UnreachableError: one can't be read. The other machine's own file of that name must not be used instead.
    """
    for path in {one.key for one in (*jump_connections(connection), connection)} - {""}:
        try:
            content, certificate = key_file(path)
        except OSError as error:
            raise UnreachableError(f"the private key {path} can't be read: {error.strerror}") from None
        shard.send(GivenKey(path, content.decode(errors="replace"), certificate))


def _entries(connection: Connection) -> list[str]:
    """Return the names in known_hosts of a node's jump hosts, and last its own."""
    return [host_entry(one.hostname, one.port) for one in (*jump_connections(connection), connection)]


def _pinning(known: KnownHosts) -> PinKey:
    def pin(entry: str, key: str) -> str:
        pinned = known.pinned(entry)
        if pinned is not None and key_text(pinned) != key:
            return (
                f"the host key of {entry} differs from the key that another process has pinned; this may be an attack"
            )
        known.pin_line(entry, key)
        return ""

    return pin


class ShardConnection:
    """An open connection that a shard holds."""

    def __init__(self, node: str, shard: ShardLink, number: int, host_key: paramiko.PKey | None) -> None:
        self._node, self._shard, self._number = node, shard, number
        self.host_key = host_key

    @property
    def is_alive(self) -> bool:
        """Whether the connection can still run commands."""
        return self._shard.has(self._number)

    def connection_lost(self) -> ConnectionLostError:
        """Return the error for a lost connection to this node."""
        return self._shard.lost(self._node) if self._shard.is_over else ConnectionLostError.of(self._node)

    def close(self) -> None:
        """Close the connection; processes on the node that use it continue to run."""
        self._shard.end_call(self._number)

    def run(self, command: str, give: GiveBytes, stdin: Input = b"") -> Ended:
        """Run a command; arguments and errors as ``SshConnection.run``."""
        streamed = None if isinstance(stdin, bytes) else stdin
        with self._shard.call(self._node, give=give) as call:
            payload = stdin if isinstance(stdin, bytes) else b""
            self._shard.send(Run(call.number, self._number, command, streamed is not None), payload)
            feeder = None if streamed is None else gevent.spawn(self._feed, call, streamed)
            try:
                ended: CommandEnded = call.answer.get()
            finally:
                if feeder is not None:
                    feeder.kill(block=False)
        return Ended(ended.code, ended.output_is_held)

    def _feed(self, call: ShardCall, pieces: Iterable[bytes]) -> None:
        """Send a command's input as fast as the node takes it."""
        try:
            for piece in pieces:
                if piece:
                    call.wants.wait()
                    call.wants.clear()
                    self._shard.send(Piece(call.number), piece)
        except Exception as error:  # whatever the caller's input raises is raised again where the command is awaited
            self._shard.end_call(call.number)
            call.answer.set_exception(error)
            return
        self._shard.send(Piece(call.number))

"""The interface to the connections to nodes, wherever they are held, and those that this process holds itself."""

from __future__ import annotations

from typing import Protocol

import paramiko

from dtk.nodes.provider import Connection
from dtk.ssh.channels import ConnectionLostError, Ended, SshConnection
from dtk.ssh.connect import Patience, Waiting, reach
from dtk.ssh.exchange import GiveBytes, Input
from dtk.ssh.host_keys import KnownHosts


class NodeConnection(Protocol):
    """An open connection to one node. It is opened once; after a loss it is never reused."""

    @property
    def is_alive(self) -> bool:
        """Whether the connection can still run commands."""

    @property
    def host_key(self) -> paramiko.PKey | None:
        """The host key that the machine presented."""

    def run(self, command: str, give: GiveBytes, stdin: Input = b"") -> Ended:
        """Run a command and pass on its output as it arrives; arguments and errors as ``SshConnection.run``."""

    def connection_lost(self) -> ConnectionLostError:
        """Return the error for a lost connection to this node."""

    def close(self) -> None:
        """Close the connection; processes on the node that use it continue to run."""


class OpenedBefore(Protocol):
    """Connections that were opened before the task, in ``dtk.ssh.asking``."""

    def take(self, connection: Connection, known: KnownHosts) -> list[paramiko.SSHClient] | None:
        """Return the client of an open connection, None if there is none; its host key is checked or pinned."""


class Connections(Protocol):
    """What opens connections to nodes and holds them."""

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
        """Connect to a node; arguments and errors as ``dtk.ssh.connect.reach``, with the node's name for messages."""

    def end(self) -> None:
        """End everything that holds connections; called once, after the last one was closed."""


class OwnConnections:
    """Connections that this process holds itself."""

    def __init__(self, kept: OpenedBefore | None = None) -> None:
        """``kept`` has connections that are open already."""
        self._kept = kept

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
        """Connect to a node, or take the connection to it that is open."""
        clients = self._kept.take(connection, known) if self._kept else None
        return SshConnection(node, clients or reach(connection, known, patience, waiting, is_new=is_new))

    def end(self) -> None:
        """Do nothing: closed connections leave nothing behind in this process."""

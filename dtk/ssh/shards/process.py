"""The process of a shard: ``python -m dtk.ssh.shards.process SOCKET_DESCRIPTOR OWNER``. OWNER is for process lists.

It ends when its task's process closes the socket or dies. Commands then continue on the nodes, as after any loss of a
task's process; the next task ends them at its first contact.
"""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import os  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from itertools import count  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
import paramiko  # noqa: E402
from gevent.event import AsyncResult  # noqa: E402
from gevent.pool import Group  # noqa: E402
from gevent.queue import Queue  # noqa: E402

from dtk.nodes.remembered_keys import host_line  # noqa: E402
from dtk.ssh.channels import SshConnection  # noqa: E402
from dtk.ssh.connect import HostKeyError, reach  # noqa: E402
from dtk.ssh.exchange import Input  # noqa: E402
from dtk.ssh.host_keys import KnownHosts, key_text  # noqa: E402
from dtk.ssh.passphrases import unlock  # noqa: E402
from dtk.ssh.private_keys import give_key  # noqa: E402
from dtk.ssh.shards.errors import failed_of  # noqa: E402
from dtk.ssh.shards.messages import (  # noqa: E402
    Begin,
    CommandEnded,
    CommandOutput,
    End,
    GivenKey,
    Lost,
    Message,
    Open,
    Opened,
    Piece,
    Pinned,
    PinRequest,
    Run,
    Waiting,
    Wants,
)
from dtk.ssh.shards.wire import Wire  # noqa: E402

MOST_UNSENT = 64
"""Number of messages that wait for the task's process until the nodes' output waits, too."""
CLOSE_SECONDS = 2.0
"""How long the end of this process waits for connections that are being closed; their nodes may not answer any more."""


class RouteKeys(KnownHosts):
    """The pinned keys of a node and its jump hosts; the task's process pins new ones."""

    def __init__(self, shard: Shard, request: Open) -> None:
        super().__init__(Path(request.known_hosts))
        self._shard, self._request = shard, request
        self.unsettled = set(request.unsettled)
        self._know(request.pinned)

    def _refresh(self) -> None:
        """Keep what the task's process sent: it has the file."""

    def pin(self, entry: str, key: paramiko.PKey) -> None:
        """Let the task's process pin a key.

        Raises:
            HostKeyError: it was not pinned.
        """
        refused = self._shard.pin(self._request.call, entry, key_text(key))
        if refused:
            raise HostKeyError(refused)
        self._know([*self._lines, host_line(entry, key_text(key))])


class Shard:
    """The calls and the open connections of this process."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._calls: dict[int, gevent.Greenlet] = {}
        self._connections: dict[int, SshConnection] = {}
        # Apart from all else: a node that is gone can take long.
        self._closing = Group()
        self._inputs: dict[int, Queue] = {}
        self._pins: dict[int, AsyncResult] = {}
        self._pin_numbers = count(1)

    @property
    def holds_connections(self) -> bool:
        """Whether any connection is open, or still being closed."""
        return bool(self._connections) or len(self._closing) > 0

    def serve(self) -> None:
        """Serve the task's process until it closes the connection or dies."""
        for message, payload in self._wire.received():
            self._take(message, payload)
        self._closing.join(CLOSE_SECONDS)

    def _take(self, message: Message, payload: bytes) -> None:
        match message:
            case Begin():
                unlock(message.passphrases)
            case GivenKey():
                give_key(message.path, message.content.encode(), message.certificate)
            case Open():
                self._calls[message.call] = gevent.spawn(self._answer, message.call, self._opened, message)
            case Run():
                self._inputs[message.call] = Queue()
                self._calls[message.call] = gevent.spawn(self._answer, message.call, self._ran, message, payload)
            case Piece() if message.call in self._inputs:
                self._inputs[message.call].put(payload)
            case End():
                self._end(message.call)
            case Pinned() if message.pin in self._pins:
                self._pins[message.pin].set(message.error)

    def _answer(self, call: int, work: Callable[..., Message], *arguments: object) -> None:
        try:
            answer = work(*arguments)
        except Exception as error:  # whatever it is, the step that waits for the answer fails with it
            answer = failed_of(call, error, traceback.format_exc())
        finally:
            self._calls.pop(call, None)
            self._inputs.pop(call, None)
        self._wire.send(answer)

    def _end(self, call: int) -> None:
        if call in self._calls:
            # A login that was complete by now has made a connection nevertheless.
            self._calls[call].rawlink(lambda _: self._close(call))
            self._calls[call].kill(block=False)
        else:
            self._close(call)

    def _close(self, call: int) -> None:
        if call in self._connections:
            self._closing.spawn(self._connections.pop(call).close)

    def _opened(self, request: Open) -> Opened:
        clients = reach(
            request.connection,
            RouteKeys(self, request),
            request.patience,
            lambda reason: self._wire.send(Waiting(request.call, reason)),
            is_new=request.is_new,
        )
        connection = self._connections[request.call] = SshConnection(request.node, clients)
        gevent.spawn(self._watch, request.call, connection)
        return Opened(request.call, key_text(connection.host_key) if connection.host_key else "")

    def _watch(self, call: int, connection: SshConnection) -> None:
        connection.await_loss()
        self._wire.send(Lost(call))

    def _ran(self, request: Run, payload: bytes) -> CommandEnded:
        connection = self._connections[request.connection]
        stdin: Input = self._pieces(request.call) if request.is_streamed else payload
        ended = connection.run(
            request.command, lambda stream, chunk: self._wire.send(CommandOutput(request.call, stream), chunk), stdin
        )
        return CommandEnded(request.call, ended.code, ended.output_is_held)

    def _pieces(self, call: int) -> Iterator[bytes]:
        pieces = self._inputs[call]
        while True:
            self._wire.send(Wants(call))
            piece = pieces.get()
            if not piece:
                return
            yield piece

    def pin(self, call: int, entry: str, key: str) -> str:
        """Let the task's process pin a key; return why it did not, "" if it did."""
        number = next(self._pin_numbers)
        answer = self._pins[number] = AsyncResult()
        self._wire.send(PinRequest(number, call, entry, key))
        try:
            return str(answer.get())
        finally:
            del self._pins[number]


def main(arguments: list[str]) -> None:
    """Serve the process at the other end of a socket."""
    # The task's process decides when a shard ends. Handlers, unlike ignored signals, are not inherited by proxies.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: None)
    shard = Shard(Wire(socket.socket(fileno=int(arguments[0])), MOST_UNSENT))
    shard.serve()
    if shard.holds_connections:
        # The task's process died, or a node does not answer. An orderly exit would wait for each connection's thread.
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])

"""One end of the socket pair between a task's process and a shard."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import gevent
from gevent.queue import Queue

from dtk.ssh.shards.messages import Message, from_head, to_frame

_LAST_SECONDS = 5.0
"""Time limit in seconds for sending the last messages."""


class Wire:
    """Sends and receives messages. Whoever sends may be interrupted: a frame is sent as a whole, or not at all."""

    def __init__(self, connection: socket.socket, most_waiting: int | None = None) -> None:
        """``most_waiting`` limits the unsent messages: more wait, so that a flood of output slows its node down."""
        self._connection = connection
        self._unsent = Queue(most_waiting)
        self._writer = gevent.spawn(self._write)

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a message; without an effect if the other side is gone."""
        if not self._writer.ready():
            self._unsent.put(to_frame(message, payload))

    def _write(self) -> None:
        with suppress(OSError):
            while frame := self._unsent.get():
                self._connection.sendall(frame)

    def received(self) -> Iterator[tuple[Message, bytes]]:
        """Yield each message and its payload until the other side closes or dies."""
        with suppress(OSError), self._connection.makefile("rb") as reader:
            while (line := reader.readline()).endswith(b"\n"):
                message, size = from_head(line)
                payload = reader.read(size)
                if len(payload) < size:
                    return
                yield message, payload
                # A node that sends without end must not starve the others.
                gevent.sleep(0)

    def close(self) -> None:
        """Send what has not been sent yet and close this end: the other one then reads the end of the messages."""
        self._unsent.put(b"")
        self._writer.join(_LAST_SECONDS)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

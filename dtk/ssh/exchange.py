"""One command on a channel: sends its input, separates its output from what the login prints, knows when it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import gevent
from gevent.event import Event
from paramiko.buffered_pipe import BufferedPipe
from paramiko.channel import Channel

from dtk.ssh.delimited import LOGIN_COMMAND, Delimiter, OwnOutput
from dtk.ssh.output import Stream
from dtk.ssh.session_channel import request_command

_CHUNK = 64 * 1024

GiveBytes = Callable[[Stream, bytes], None]
Input = bytes | Iterable[bytes]


class Exchange:
    """A command that runs on a channel: its input, and the two streams of its output."""

    def __init__(self, channel: Channel, command: str, give: GiveBytes, stdin: Input) -> None:
        self.channel = channel
        self._arriving = (_CountedPipe(), _CountedPipe())
        channel.in_buffer, channel.in_stderr_buffer = self._arriving
        delimiter = Delimiter()
        request_command(channel, LOGIN_COMMAND)
        self._streams = (
            _Reader(channel.recv, OwnOutput(delimiter, lambda chunk: give("stdout", chunk))),
            _Reader(channel.recv_stderr, OwnOutput(delimiter, lambda chunk: give("stderr", chunk))),
        )
        pieces = (stdin,) if isinstance(stdin, bytes) else stdin
        self._began_to_send = 0.0
        self._feeder = gevent.spawn(self._send, chain((delimiter.around(command),), pieces))

    def _send(self, pieces: Iterator[bytes]) -> Exception | None:
        """Send the command and its standard input; return the error if the input cannot be read on this side."""
        self._began_to_send = time.monotonic()
        try:
            for piece in pieces:
                if not _is_sent(self.channel, piece):
                    return None
        except Exception as error:  # whatever the caller's input raises is re-raised where the command is awaited
            return error
        self.channel.shutdown_write()
        return None

    @property
    def seconds_since_sent(self) -> float:
        """The time since the command was sent; 0 while this process has not got round to it."""
        return time.monotonic() - self._began_to_send if self._began_to_send else 0.0

    @property
    def arrived(self) -> tuple[int, ...]:
        """Number of bytes of each stream received from the node, read or not."""
        return tuple(pipe.arrived for pipe in self._arriving)

    @property
    def code(self) -> int | None:
        """The command's exit code, once its end mark has been seen on both streams."""
        # Both marks carry the code. While only one has come, the other stream may still carry output.
        codes = {stream.output.code for stream in self._streams}
        return codes.pop() if len(codes) == 1 else None

    @property
    def has_begun(self) -> bool:
        """Whether the login has reached the command."""
        return any(stream.output.has_begun for stream in self._streams)

    @property
    def has_begun_on_both(self) -> bool:
        """Whether the begin mark was seen on both streams."""
        return all(stream.output.has_begun for stream in self._streams)

    @property
    def noise(self) -> str:
        """The output before the command began, as one line."""
        return " ".join(b" ".join(stream.output.noise for stream in self._streams).decode(errors="replace").split())

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the end of both streams; return whether both have ended.

        Raises:
            Exception: the input cannot be read on this side, or the output cannot be processed.
        """
        gevent.wait([stream.ended for stream in self._streams], timeout=seconds)
        failures = [self._feeder.value, *(stream.greenlet.exception for stream in self._streams)]
        for failure in failures:
            if failure is not None:
                raise failure
        return all(stream.ended.is_set() for stream in self._streams)

    def has_read(self, arrived: tuple[int, ...]) -> bool:
        """Return whether this many bytes of each stream have been read and passed on."""
        return all(stream.received >= bytes_ for stream, bytes_ in zip(self._streams, arrived, strict=True))

    def wait_for_close(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until no process can write to the streams; return whether that is so."""
        readers = [stream.greenlet for stream in self._streams]
        return len(gevent.joinall(readers, timeout=seconds)) == len(readers)

    def stop(self) -> None:
        """Stop reading and sending."""
        gevent.killall([self._feeder, *(stream.greenlet for stream in self._streams)])


class _CountedPipe(BufferedPipe):  # type: ignore[type-arg] # generic in its stubs alone
    """A channel's buffer of unread bytes that also counts all bytes received.

    On a busy machine, a reader that has taken bytes may have to wait for the channel's lock before it processes them.
    Such bytes are neither in the buffer nor counted as read; only this count shows them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = 0

    def feed(self, data: bytes | str) -> None:
        """Add received bytes and count them."""
        self.arrived += len(data)
        super().feed(data)


class _Reader:
    """A greenlet that reads one stream of a channel to its end."""

    def __init__(self, receive: Callable[[int], bytes], output: OwnOutput) -> None:
        self.received = 0
        self.output = output
        self.ended = Event()
        """Set when the command's end mark has been read, or the stream has ended."""
        self._receive = receive
        self.greenlet = gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            while chunk := self._receive(_CHUNK):
                self.output.feed(chunk)
                self.received += len(chunk)
                if self.output.code is not None:
                    self.ended.set()
                # A stream that is never empty must not starve heartbeats and signal handlers.
                gevent.sleep(0)
        finally:
            self.output.close()
            self.ended.set()


def _is_sent(channel: Channel, piece: bytes) -> bool:
    try:
        channel.sendall(piece)
    except OSError:
        # The command ended without reading all its input: only its exit code matters.
        return False
    return True

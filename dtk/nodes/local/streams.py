"""The stdin, stdout and stderr of a started command as streams: three pipes, or one terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from dtk.nodes.local.children import Child, Children, StandardStreams

TerminalSize = tuple[int, int, int, int]
"""Width and height in characters, then in pixels."""


@dataclass(frozen=True)
class Streams:
    """The server's ends of the streams. ``terminal`` is its descriptor, None with pipes; a terminal has no stderr."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None
    terminal: int | None
    _readers: tuple[asyncio.BaseTransport, ...]

    def close(self) -> None:
        """Close all streams; bytes that the command has not read are lost."""
        stdin = self.stdin.transport
        # asyncio raises an error if a closed pipe is aborted.
        if not stdin.is_closing() or stdin.get_write_buffer_size():
            stdin.abort()
        for transport in self._readers:
            transport.close()


async def start_with_pipes(children: Children, arguments: Sequence[str]) -> tuple[Child, Streams]:
    """Start a command with pipes.

    Raises:
        OSError: it could not be started.
    """
    pipe = subprocess.PIPE
    child = children.start(arguments, {}, StandardStreams(pipe, pipe, pipe))
    process = child.process
    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - for the type checker
    stdin = await _writer(process.stdin)
    stdout, stdout_transport = await _reader(process.stdout)
    stderr, stderr_transport = await _reader(process.stderr)
    return child, Streams(stdin, stdout, stderr, None, (stdout_transport, stderr_transport))


async def start_in_terminal(
    children: Children, arguments: Sequence[str], kind: str, size: TerminalSize
) -> tuple[Child, Streams]:
    """Start a command in its own terminal. ``kind`` is the value of TERM.

    Raises:
        OSError: it could not be started.
    """
    ours, theirs = pty.openpty()
    try:
        _set_size(ours, size)
        child = children.start(arguments, {"TERM": kind}, StandardStreams(theirs, theirs, theirs), _take_terminal)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    stdin = await _writer(os.fdopen(os.dup(ours), "wb", 0))
    stdout, transport = await _reader(os.fdopen(ours, "rb", 0))
    return child, Streams(stdin, stdout, None, ours, (transport,))


def set_terminal_size(streams: Streams, size: TerminalSize) -> None:
    """Set the size of a command's terminal, if it has one."""
    if streams.terminal is not None:
        _set_size(streams.terminal, size)


def _set_size(terminal: int, size: TerminalSize) -> None:
    width, height, pixel_width, pixel_height = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, pixel_width, pixel_height))


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def _writer(file: IO[bytes]) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, file)
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def _reader(file: IO[bytes]) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, file)
    return reader, transport

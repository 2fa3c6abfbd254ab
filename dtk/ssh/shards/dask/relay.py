"""What runs in a Dask worker: starts shards, and passes bytes between them and their bridges. No errors leave it.

A shard ends when its bridge says so, when the Dask worker ends, or when the bridge has not asked for a while.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dtk import __version__
from dtk.ssh.shards.dask.message_cipher import MessageCipher
from dtk.ssh.shards.shard_process import PROCESS

START, SEND, RECEIVE, END = "dtk_shard_start", "dtk_shard_send", "dtk_shard_receive", "dtk_shard_end"
MOST_BYTES = 1 << 20
WAIT_SECONDS = 10.0
"""How long a request waits for bytes until it is answered without any."""
_EXIT_SECONDS = 5.0
SILENCE_SECONDS = 30.0
"""How long a shard survives without a message from its bridge; the bridge waits longer before it gives up the shard."""


class RelayedShard:
    """A shard's process on this machine, and the socket to it."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, cipher: MessageCipher) -> None:
        self._process, self._connection, self._cipher = process, connection, cipher
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._next: asyncio.Task[bytes] | None = None

    @property
    def is_heard(self) -> bool:
        """Whether its bridge has sent a message lately."""
        return self._loop.time() - self._heard < SILENCE_SECONDS

    def hear(self) -> bool:
        """Note a message from the bridge; return whether it came in time.

        This process, or the network, may have stood still: the bridge has then given up the shard, and another task may
        already work on the nodes. What the bridge sent before must have no effect now.
        """
        if self.is_heard:
            self._heard = self._loop.time()
            return True
        return False

    async def send(self, data: bytes) -> bool:
        """Send an encrypted message to the shard, b"" to say nothing; return whether it took it."""
        try:
            if data:
                await self._loop.sock_sendall(self._connection, self._cipher.decrypt(data))
        except (OSError, InvalidTag):
            return False
        return True

    async def receive(self) -> bytes | None:
        """Return what the shard has sent, encrypted, b"" if nothing came in time, None after its end."""
        # A task that lasts from one request to the next: to cancel it could lose what it has read.
        reading = self._next = self._next or asyncio.create_task(self._read())
        await asyncio.wait([reading], timeout=WAIT_SECONDS)
        if not reading.done():
            return b""
        self._next = None
        return self._cipher.encrypt(reading.result()) if reading.result() else None

    async def _read(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._connection, MOST_BYTES)
        except OSError:
            return b""

    async def end(self) -> None:
        """End the process, and wait for its end."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        # Only after the read has seen the end: the event loop would still watch the descriptor, which is used again.
        if self._next is not None:
            await asyncio.wait([self._next])
        self._connection.close()
        await asyncio.to_thread(_reap, self._process)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_shards: dict[str, RelayedShard] = {}
_watches: set[asyncio.Task[None]] = set()
"""The event loop itself keeps no task alive."""


async def start(shard: str, owner: str, key: bytes) -> bytes | str:
    """Start a shard for a bridge with a public key; return the relay's public key, or why it can't be started."""
    ours, its = socket.socketpair()
    ours.setblocking(False)
    try:
        # Its output goes nowhere: an unforeseen error could quote a secret, and this machine's logs are not the task's.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", PROCESS, str(its.fileno()), owner],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )
    except OSError as error:
        ours.close()
        return str(error)
    finally:
        its.close()
    own = X25519PrivateKey.generate()
    _shards[shard] = RelayedShard(process, ours, MessageCipher(own, key, is_bridge=False))
    watch = asyncio.create_task(_end_in_silence(shard))
    _watches.add(watch)
    watch.add_done_callback(_watches.discard)
    return own.public_key().public_bytes_raw()


async def _end_in_silence(shard: str) -> None:
    while shard in _shards and _shards[shard].is_heard:
        await asyncio.sleep(1.0)
    await end(shard)


async def send(shard: str, data: bytes) -> bool:
    """Send an encrypted message to a shard; return whether it took it."""
    return shard in _shards and _shards[shard].hear() and await _shards[shard].send(data)


async def receive(shard: str) -> bytes | None:
    """Return an encrypted message from a shard, b"" if none came in time, None after its end."""
    return await _shards[shard].receive() if shard in _shards and _shards[shard].hear() else None


async def end(shard: str) -> None:
    """End a shard; without an effect if it has ended."""
    found = _shards.pop(shard, None)
    if found is not None:
        await found.end()


class Handling(Protocol):
    """A Dask worker, as far as this file uses it."""

    handlers: dict[str, object]


def install(dask_worker: Handling) -> str:
    """Add the handlers to a Dask worker, which passes itself; return the version of dtk on its machine."""
    dask_worker.handlers.update({START: start, SEND: send, RECEIVE: receive, END: end})
    return __version__

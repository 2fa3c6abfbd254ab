"""Passes a shard's bytes to a Dask worker: ``python -m dtk.ssh.shards.dask.bridge DESCRIPTOR OWNER EXECUTOR PLACE``.

DESCRIPTOR is a socket to the task's process; PLACE chooses the worker, the next one if that one does not answer. The
process ends with the socket, and with the code ``LOST_ON_DASK`` when the scheduler, the worker or the shard is lost:
the steps that used it are then in doubt.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from distributed import Client

from dtk.errors import DtkError
from dtk.model.executor import DaskCluster, from_word
from dtk.ssh.shards.dask import relay
from dtk.ssh.shards.dask.cluster import Answer, ask, connect, first_fit, keep_quiet, workers_of
from dtk.ssh.shards.dask.message_cipher import MessageCipher
from dtk.ssh.shards.shard_process import LOST_ON_DASK

_ANSWER_SECONDS = 1.5 * relay.SILENCE_SECONDS
"""How long the worker may take for an answer; it is longer than the time after which it ends a shard in silence."""
_END_SECONDS = 5.0


class Bridge:
    """A shard on one worker of a cluster."""

    def __init__(self, client: Client, worker: str, task: socket.socket) -> None:
        self._client, self._worker, self._task = client, worker, task
        self._shard = uuid4().hex

    async def run(self, owner: str) -> None:
        """Start the shard and pass its bytes on, until the task closes the socket.

        Raises:
            DtkError: the shard can't be started.
            OSError: it was lost.
        """
        own = X25519PrivateKey.generate()
        answer = await self._ask(relay.START, owner=owner, key=own.public_key().public_bytes_raw())
        if not isinstance(answer, bytes):
            raise DtkError(f"no process can be started there: {answer!s}")
        cipher = MessageCipher(own, answer, is_bridge=True)
        works = (self._to_shard(cipher), self._to_task(cipher), self._keep_alive())
        ways = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            with suppress(OSError):
                await ask(self._client, self._worker, relay.END, _END_SECONDS, shard=self._shard)

    async def _ask(self, operation: str, **fields: str | bytes) -> Answer:
        return await ask(self._client, self._worker, operation, _ANSWER_SECONDS, shard=self._shard, **fields)

    async def _to_shard(self, cipher: MessageCipher) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._task, relay.MOST_BYTES):
            await self._send(cipher.encrypt(data))

    async def _send(self, data: bytes) -> None:
        if not await self._ask(relay.SEND, data=data):
            raise OSError("the process there has ended")

    async def _keep_alive(self) -> None:
        # Nothing else would be sent while the task's process is too slow to take what was received.
        while True:
            await asyncio.sleep(relay.WAIT_SECONDS)
            await self._send(b"")

    async def _to_task(self, cipher: MessageCipher) -> None:
        loop = asyncio.get_running_loop()
        while (data := await self._ask(relay.RECEIVE)) is not None:
            if not isinstance(data, bytes) or not data:
                continue
            try:
                received = cipher.decrypt(data)
            except InvalidTag:
                raise OSError("a message from there is missing or was altered") from None
            try:
                await loop.sock_sendall(self._task, received)
            except OSError:
                # The task's process has closed the socket: the end, not a loss.
                return
        raise OSError("the process there has ended")


async def _bridged(task: socket.socket, owner: str, cluster: DaskCluster, place: int) -> int:
    worker = cluster.scheduler
    try:
        async with await connect(cluster) as client:
            workers = await workers_of(client)
            first = place % len(workers)
            worker = await first_fit(client, workers[first:] + workers[:first])
            await Bridge(client, worker, task).run(owner)
    except (DtkError, OSError) as error:
        # Of the error only its kind and text, which name addresses: the messages in between contain secrets.
        late = f"it did not answer within {_ANSWER_SECONDS:.0f} s"
        what = error.message if isinstance(error, DtkError) else str(error) or late
        sys.stderr.write(f"the process on the Dask worker {worker} was lost: {what}\n")
        return LOST_ON_DASK
    return 0


def main(arguments: list[str]) -> int:
    """Serve the process at the other end of a socket; return the exit code."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    keep_quiet()
    descriptor, owner, executor, place = arguments
    cluster = from_word(executor).dask
    with socket.socket(fileno=int(descriptor)) as task:
        task.setblocking(False)
        return asyncio.run(_bridged(task, owner, cluster, int(place))) if cluster else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

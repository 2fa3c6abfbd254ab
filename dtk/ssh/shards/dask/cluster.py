"""Connects to a Dask cluster over TLS and prepares its workers for shards."""

from __future__ import annotations

import asyncio
import logging
import ssl
import warnings
from pathlib import Path

from distributed import Client, Security

from dtk import __version__
from dtk.errors import DtkError
from dtk.model.executor import DaskCluster
from dtk.ssh.shards.dask import relay

_CONNECT_SECONDS = 10
_PREPARE_SECONDS = 10.0
Answer = str | bytes | bool | None


class SilentWorkerError(DtkError):
    """A Dask worker does not answer: it hangs, or the network to it is cut."""


def keep_quiet() -> None:
    """Let Dask print nothing in this process: what goes wrong is in the errors.

    Its warning of other versions of Python elsewhere is about pickled objects; dtk exchanges text and bytes.
    """
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


async def connect(cluster: DaskCluster) -> Client:
    """Return a client of a cluster.

    Raises:
        DtkError: the scheduler can't be reached, or does not accept the certificate.
    """
    files = {"tls_ca_file": cluster.ca, "tls_client_cert": cluster.certificate, "tls_client_key": cluster.key}
    given = {name: str(Path(file).expanduser()) for name, file in files.items() if file}
    for file in given.values():
        if not Path(file).is_file():
            raise DtkError(f"the file {file} of executor does not exist", hint="correct executor in dtk.yaml")
    try:
        client: Client = await Client(
            cluster.scheduler,
            security=Security(require_encryption=True, **given),
            timeout=_CONNECT_SECONDS,
            asynchronous=True,
            set_as_default=False,
        )
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError, ssl.SSLError) as error:
        raise DtkError(
            f"the Dask scheduler {cluster.scheduler} can't be reached: {error}",
            hint="check that it runs, and its address and TLS files in dtk.yaml under executor; without executor, the"
            " task runs on this machine alone",
        ) from None
    return client


async def workers_of(client: Client) -> list[str]:
    """Return the addresses of all workers, in a fixed order.

    Raises:
        DtkError: there is none, or the scheduler does not answer.
    """
    try:
        async with asyncio.timeout(_PREPARE_SECONDS):
            found = sorted(await client.nthreads())
    except (OSError, TimeoutError) as error:
        raise DtkError(
            f"the Dask scheduler does not answer: {error or 'too slow'}", hint="see why in its log"
        ) from None
    if not found:
        raise DtkError("the Dask cluster has no workers", hint="start some, with the same TLS files: dask worker")
    return [str(worker) for worker in found]


async def prepare(client: Client, worker: str) -> None:
    """Prepare a worker for shards.

    Raises:
        SilentWorkerError: it does not answer.
        DtkError: it is not fit: without TLS, without dtk, or with another version of it.
    """
    if not worker.startswith("tls://"):
        raise DtkError(f"the Dask worker {worker} does not use TLS", hint="restart it with --tls-cert and --tls-key")
    try:
        async with asyncio.timeout(_PREPARE_SECONDS):
            answers = await client.run(relay.install, workers=[worker], on_error="return")
    except (OSError, TimeoutError, ValueError) as error:
        raise SilentWorkerError(
            f"the Dask worker {worker} does not answer: {error or 'too slow'}", hint="see why in its log"
        ) from None
    version: object = answers.get(worker)
    if isinstance(version, OSError):
        raise SilentWorkerError(f"the Dask worker {worker} does not answer: {version}", hint="see why in its log")
    if version != __version__:
        found = f"has dtk {version}" if isinstance(version, str) else f"can't run it: {version!r}"
        raise DtkError(
            f"dtk {__version__} is needed on the Dask worker {worker}, which {found}",
            hint=f"install it there and restart the worker: pip install 'dtk-cluster[dask]=={__version__}'",
        )


async def first_fit(client: Client, workers: list[str]) -> str:
    """Prepare the first worker that answers and return its address.

    Raises:
        DtkError: none of them can be used; the reason is that of the first one.
    """
    refused: DtkError | None = None
    for worker in workers:
        try:
            await prepare(client, worker)
        except DtkError as error:
            refused = refused or error
        else:
            return worker
    raise refused or DtkError("the Dask cluster has no workers")


async def ask(client: Client, worker: str, operation: str, seconds: float, **fields: str | bytes) -> Answer:
    """Return a worker's answer to a message.

    Raises:
        OSError: the scheduler or the worker is gone, or did not answer in time.
    """
    scheduler = client.scheduler
    if scheduler is None:
        raise OSError("the connection to the scheduler is closed")
    async with asyncio.timeout(seconds):
        answer: Answer = await scheduler.proxy(msg={"op": operation, **fields}, worker=worker)
    return answer

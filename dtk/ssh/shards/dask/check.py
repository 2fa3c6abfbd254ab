"""Prints as JSON how many Dask workers can be used, or why the cluster can't: ``python -m … check EXECUTOR``."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping

from distributed import Client

from dtk.errors import DtkError
from dtk.model.executor import DaskCluster, from_word
from dtk.ssh.shards.dask.cluster import SilentWorkerError, connect, keep_quiet, prepare, workers_of


async def _found(cluster: DaskCluster) -> Mapping[str, int | str]:
    try:
        async with await connect(cluster) as client:
            return {"workers": await _usable(client)}
    except DtkError as error:
        return {"error": error.message, "hint": error.hint}


async def _usable(client: Client) -> int:
    """Return the number of workers that can be used; warn of those that do not answer.

    Raises:
        DtkError: one is not fit, or none answers.
    """
    workers = await workers_of(client)
    answers = await asyncio.gather(*(prepare(client, worker) for worker in workers), return_exceptions=True)
    wrong = [answer for answer in answers if answer is not None]
    for error in wrong:
        if not isinstance(error, SilentWorkerError) or len(wrong) == len(workers):
            raise error
    for error in wrong:
        sys.stderr.write(f"warning: {error}; the task uses the other workers\n")
    return len(workers) - len(wrong)


def main(arguments: list[str]) -> None:
    """Check the cluster of an executor."""
    keep_quiet()
    cluster = from_word(arguments[0]).dask
    if cluster is not None:
        sys.stdout.write(json.dumps(asyncio.run(_found(cluster))))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Retire one worker: the scheduler gives it no more work and moves its results to the others.

Usage: retire.py SCHEDULER WORKER (addresses). A scheduler that is gone is no obstacle: then there is nothing to
move, and a node that is about to be terminated must not be held up.
"""

from __future__ import annotations

import socket
import sys

from distributed import Client
from distributed.comm.addressing import get_address_host_port
from distributed.comm.core import CommClosedError

CONNECT_WITHIN = 5.0  # seconds
RETIRE_WITHIN = 60.0  # seconds to move the results


def main(scheduler: str, worker: str) -> int:
    """Retire the worker; return the exit code."""
    try:
        # Dask keeps trying a port that refuses; a plain connection says so at once.
        socket.create_connection(get_address_host_port(scheduler), timeout=CONNECT_WITHIN).close()
        with Client(scheduler, timeout=CONNECT_WITHIN, set_as_default=False) as client:
            retired = client.sync(
                client.scheduler.retire_workers,
                workers=[worker],
                close_workers=True,
                callback_timeout=RETIRE_WITHIN,
            )
    except (OSError, TimeoutError, CommClosedError) as error:
        print(f"the scheduler at {scheduler} can't be asked ({error}); nothing to move")
        return 0
    print(f"{worker} is retired" if retired else f"{worker} was not in the cluster")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

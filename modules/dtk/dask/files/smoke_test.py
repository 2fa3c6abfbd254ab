"""Compute on the Dask cluster so that every worker takes part, and print who did what.

Usage: smoke_test.py ADDRESS… (of the workers). The scheduler's address comes from the configuration that the client
component writes, so that this also proves that a plain ``Client()`` on this node reaches the cluster.
"""

from __future__ import annotations

import sys
import time

from distributed import Client, get_worker

NUMBERS = 100_000
JOIN_WITHIN = 30.0  # seconds for the workers to be registered; they are when their stage has ended
RESULT_WITHIN = 60.0  # seconds for the computation, which takes well under one


def sum_of_squares(first: int, last: int) -> tuple[str, int]:
    """Return who computed it and the sum of n² for first <= n < last."""
    return str(get_worker().name), sum(n * n for n in range(first, last))


def total(parts: list[tuple[str, int]]) -> int:
    """Return the sum of the parts; runs on one worker, which fetches the others' results from them."""
    return sum(value for _, value in parts)


def missing_workers(client: Client, addresses: list[str]) -> list[str]:
    """Wait until the workers are registered; return those that are not."""
    deadline = time.monotonic() + JOIN_WITHIN
    while True:
        present = client.scheduler_info(n_workers=-1)["workers"]
        missing = [address for address in addresses if address not in present]
        if not missing or time.monotonic() > deadline:
            return missing
        time.sleep(0.1)


def compute(client: Client, addresses: list[str]) -> tuple[list[tuple[str, int]], int]:
    """Give each worker its share of the numbers; return the shares and the total."""
    bounds = [index * NUMBERS // len(addresses) for index in range(len(addresses) + 1)]
    shares = [
        client.submit(sum_of_squares, bounds[index], bounds[index + 1], workers=[address], pure=False)
        for index, address in enumerate(addresses)
    ]
    result = client.submit(total, shares, pure=False)
    return client.gather(shares), result.result(timeout=RESULT_WITHIN)


def main(addresses: list[str]) -> int:
    """Run the test; return the exit code."""
    with Client(set_as_default=False) as client:
        missing = missing_workers(client, addresses)
        if missing:
            print(f"{len(missing)} of {len(addresses)} workers are missing: {', '.join(missing)}", file=sys.stderr)
            return 1
        shares, value = compute(client, addresses)
    expected = (NUMBERS - 1) * NUMBERS * (2 * NUMBERS - 1) // 6
    if value != expected:
        print(f"the cluster computed {value} instead of {expected}", file=sys.stderr)
        return 1
    names = {name for name, _ in shares}
    print(f"sum of n*n for n < {NUMBERS}: {value}, computed by {len(names)} of {len(addresses)} workers")
    for (name, share), address in zip(shares, addresses, strict=True):
        print(f"  {name}  {address}  {share}")
    return 0 if len(names) == len(addresses) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

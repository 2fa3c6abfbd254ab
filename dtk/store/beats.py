"""Heartbeats from a thread: keeps a lease alive while its holder plans or waits for a person's answer."""

from __future__ import annotations

import threading

from dtk.store.errors import FencedError, StoreError
from dtk.store.lease import HeldLease


class Beats:
    """A thread that renews a lease until ``stop``; only then may the holder use the lease itself again."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeats and wait for the one in progress."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._lease.seconds / 3):
            try:
                self._lease.beat()
            except FencedError:
                # The holder's next write fails with the same error.
                return
            except StoreError:
                # Try again at the next beat: the lease is still valid.
                continue

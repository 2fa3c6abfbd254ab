"""Keeps a lease alive while its holder plans, or waits for a person's answer: beats in a thread of its own."""

from __future__ import annotations

import threading

from dtk.store.errors import FencedError, StoreError
from dtk.store.lease import HeldLease


class Beats:
    """Beats of a lease until ``stop``; from then on its holder may use the lease itself again."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the beats, and wait for one that is under way."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._lease.seconds / 3):
            try:
                self._lease.beat()
            except FencedError:
                # The holder's own next write meets it as well.
                return
            except StoreError:
                # Tried again: the lease holds on.
                continue

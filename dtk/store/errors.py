"""What can go wrong with a shared store, by what a caller does about it."""

from __future__ import annotations

from dtk.errors import DtkError, LockedError


class StoreError(DtkError):
    """The store refuses: credentials, permissions, a clock, a bucket. Asking again changes nothing."""


class StoreUnreachableError(StoreError):
    """No answer, or none that says what happened (timeout, 500, 503, 409). A write may have taken effect: read it."""


class DamagedError(StoreError):
    """What is in the store is not what was written there."""


class FencedError(LockedError):
    """Another holder has the service now: nothing more may be written or started."""


class EmptiedError(FencedError):
    """The head that this holder wrote is gone: somebody removed what is in the store."""


class HeldError(LockedError):
    """Another holder has a valid lease on the service; the message names it."""


class StrangeStateError(StoreError):
    """The state in this folder is not a copy of the one in the store, and one of both would be lost."""

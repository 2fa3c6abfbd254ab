"""Errors of the shared store, by what the caller does about them."""

from __future__ import annotations

from dtk.errors import DtkError, LockedError


class StoreError(DtkError):
    """The store refuses the request (credentials, permissions, clock, bucket). Retrying does not help."""


class StoreUnreachableError(StoreError):
    """No response, or an ambiguous one (timeout, 500, 503, 409). A write may have taken effect: read to find out."""


class DamagedError(StoreError):
    """The content of the store is not what was written there."""


class FencedError(LockedError):
    """Another process holds the service now: this one must not write or start anything more."""


class EmptiedError(FencedError):
    """The head that this holder wrote is missing: somebody removed the content of the store."""


class HeldError(LockedError):
    """Another process has a valid lease on the service; the message names it."""


class StrangeStateError(StoreError):
    """The local state is not a copy of the state in the store, so going on would lose one of them."""

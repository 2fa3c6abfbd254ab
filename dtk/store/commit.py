"""Commits states: writes the body first, then the head that points to it, and releases waiting barriers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dtk.store.errors import DamagedError, FencedError
from dtk.store.head import Head, StatePointer
from dtk.store.lease import HeldLease
from dtk.store.objects import Objects, get_patiently, put_once


def commit_state(lease: HeldLease, serial: int, body: bytes) -> None:
    """Commit a state of the service to the store; do nothing if this serial is already committed.

    A crash between the two writes leaves a body that nothing points to.

    Args:
        lease: the lease on the service.
        serial: the serial of the state. The state includes all changes since the last committed serial.
        body: the state document.

    Raises:
        FencedError: another process holds the service.
        StoreUnreachableError: the outcome is unknown; calling again is safe.
        StoreError: the store refuses the request.
    """
    if serial <= lease.head.serial and lease.head.state is not None:
        return
    key = lease.keys.state(serial, lease.head.epoch)
    if not put_once(lease.tools.objects, key, body, sleep=lease.tools.sleep):
        raise FencedError(f"another process has written {key}: this process no longer holds the lock of the service")
    lease.commit(serial, StatePointer(key, hashlib.sha256(body).hexdigest()))


def committed_state(objects: Objects, head: Head) -> bytes | None:
    """Return the body of the state that a head points to, or None if no state is committed yet.

    Raises:
        DamagedError: the body is missing or does not match its digest.
        StoreError: the store is unreachable or refuses the request.
    """
    if head.state is None:
        return None
    found = get_patiently(objects, head.state.key)
    if found is None or hashlib.sha256(found.data).hexdigest() != head.state.sha256:
        what = "is gone" if found is None else "differs from what was committed (digest mismatch)"
        raise DamagedError(f"state {head.serial} in the store is damaged: {head.state.key} {what}")
    return found.data


@dataclass(frozen=True)
class Barrier:
    """A wait condition: the state with this serial is committed, and the log is uploaded up to ``log_bytes`` bytes."""

    number: int
    serial: int
    log_bytes: int = 0


class Barriers:
    """The pending barriers; each is released once, when its state and log are in the store."""

    def __init__(self) -> None:
        self._waiting: list[Barrier] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, barrier: Barrier) -> None:
        """Add a barrier."""
        self._waiting.append(barrier)

    def passed(self, serial: int, log_bytes: int) -> list[Barrier]:
        """Remove and return the barriers that are met, given the committed serial and the uploaded size of the log."""
        done = [one for one in self._waiting if one.serial <= serial and one.log_bytes <= log_bytes]
        self._waiting = [one for one in self._waiting if one not in done]
        return done

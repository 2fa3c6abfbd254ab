"""Committing states: the body first, then the head that points to it; whoever needs a serial there waits for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dtk.store.errors import DamagedError, FencedError
from dtk.store.head import Head, StatePointer
from dtk.store.lease import HeldLease
from dtk.store.objects import Objects, get_patiently, put_once


def commit_state(lease: HeldLease, serial: int, body: bytes) -> None:
    """Make a state the service's own in the store; one that already exists is written no second time.

    A crash between both writes leaves a body that nothing points to.

    Args:
        lease: the service, held.
        serial: the state's; those between the committed one and this are in this one.
        body: the state's document.

    Raises:
        FencedError: another holder has the service.
        StoreUnreachableError: no clear answer came; calling again is safe.
        StoreError: the store refuses.
    """
    if serial <= lease.head.serial and lease.head.state is not None:
        return
    key = lease.keys.state(serial, lease.head.epoch)
    if not put_once(lease.tools.objects, key, body, sleep=lease.tools.sleep):
        raise FencedError(f"another process has written {key}: this process no longer holds the lock of the service")
    lease.commit(serial, StatePointer(key, hashlib.sha256(body).hexdigest()))


def committed_state(objects: Objects, head: Head) -> bytes | None:
    """Return the body of the state that a head points to, None before there is one.

    Raises:
        DamagedError: it is gone, or not what was committed.
        StoreError: the store can't be reached, or refuses.
    """
    if head.state is None:
        return None
    found = get_patiently(objects, head.state.key)
    if found is None or hashlib.sha256(found.data).hexdigest() != head.state.sha256:
        what = "is gone" if found is None else "is not what was committed"
        raise DamagedError(f"state {head.serial} in the store is damaged: {head.state.key} {what}")
    return found.data


@dataclass(frozen=True)
class Barrier:
    """What somebody waits for: the state of this serial committed, and the log shipped up to this size in bytes."""

    number: int
    serial: int
    log_bytes: int = 0


class Barriers:
    """Those that wait; each is let go once, when what it waits for is in the store."""

    def __init__(self) -> None:
        self._waiting: list[Barrier] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, barrier: Barrier) -> None:
        """Let one more wait."""
        self._waiting.append(barrier)

    def passed(self, serial: int, log_bytes: int) -> list[Barrier]:
        """Return those that wait no longer, now that so much is in the store."""
        done = [one for one in self._waiting if one.serial <= serial and one.log_bytes <= log_bytes]
        self._waiting = [one for one in self._waiting if one not in done]
        return done

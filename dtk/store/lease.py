"""The lease on a service: acquired, renewed and released by compare-and-swap on its head, without wall clocks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from dtk.store.clock import Clock, since_boot
from dtk.store.errors import DamagedError, EmptiedError, FencedError, HeldError, StoreError, StoreUnreachableError
from dtk.store.head import Head, Lease, StatePointer, decode, encode, with_beat
from dtk.store.layout import ServiceKeys
from dtk.store.objects import RETRY_SECONDS, Objects, Sleep, Stored, get_patiently, shortened

MARGIN_SECONDS = 10.0
"""The holder stops relying on its lease this long before it expires."""
GRACE_SECONDS = 15.0
"""Others take the lease this long after it has expired: together with the margin, this tolerates clock drift."""
POLL_SECONDS = 3.0
_CONFLICTS = 12
"""Lost races in a row, or requests without a response, before an acquirer gives up."""


@dataclass(frozen=True)
class Tools:
    """The tools of a holder; tests pass their own clock and sleep."""

    objects: Objects
    clock: Clock = since_boot
    sleep: Sleep = time.sleep


@dataclass(frozen=True)
class LeaseRequest:
    """A request for a service. ``lineage`` is the id of the service; ``holder`` is the lease to write."""

    service: str
    lineage: str
    holder: Lease


def new_lease(host: str, user: str, command: str, seconds: float, job_url: str = "") -> Lease:
    """Return a lease with a new nonce."""
    return Lease(uuid.uuid4().hex, host, user, command, seconds, job_url=job_url)


class HeldLease:
    """A service that this process holds. ``previous`` is the expired lease that this one replaced, if any."""

    def __init__(self, tools: Tools, service: str, head: Head, etag: str, sent: float) -> None:
        """Hold a service whose head was written by a request sent at ``sent`` (the holder's clock)."""
        if head.lease is None:
            raise ValueError("nobody holds this head")
        self.tools = tools
        self.keys = ServiceKeys(service)
        self.head = head
        self.nonce = head.lease.nonce
        self.seconds = head.lease.seconds
        self.previous: Lease | None = None
        self._etag = etag
        self._sent = sent
        self._open: dict[bytes, float] = {}
        self._given_back = False

    @property
    def valid_until(self) -> float:
        """When this holder must stop starting anything, by its own clock."""
        # Counted from when the request was sent: the store may have written the head any time after that, and others
        # count from that write.
        return self._sent + self.seconds - min(MARGIN_SECONDS, self.seconds / 3)

    @property
    def is_valid(self) -> bool:
        """Whether no other process can have taken the service yet; False once the release has begun."""
        return not self._given_back and self.tools.clock() < self.valid_until

    @property
    def heartbeat_is_needed(self) -> bool:
        """Whether the last write of the head is so long ago that a heartbeat is due."""
        return self.tools.clock() >= self._sent + self.seconds / 3

    def beat(self) -> None:
        """Renew the lease; raises like ``swap``."""
        self.swap(lambda head: head)

    def begin_task(self, number: int) -> None:
        """Note the running task in the head; raises like ``swap``."""

        def begun(head: Head) -> Head:
            lease = replace(head.lease, task=number) if head.lease else None
            return replace(head, last_task=max(number, head.last_task), lease=lease)

        self.swap(begun)

    def note_last_task(self, number: int) -> None:
        """Note the number of the newest task, none of which runs; raises like ``swap``."""
        self.swap(lambda head: replace(head, last_task=number))

    def commit(self, serial: int, pointer: StatePointer) -> None:
        """Make a state whose body is already written the committed one; raises like ``swap``."""
        self.swap(lambda head: replace(head, serial=serial, state=pointer))

    def release(self, *, destroyed: bool = False) -> None:
        """Release the service; raises like ``swap``, but ignores that another process already holds the service."""
        self._given_back = True
        try:
            self.swap(lambda head: replace(head, lease=None, destroyed=destroyed))
        except FencedError as error:
            # A write with a lost response released it, or the lease expired: everything was committed before.
            if destroyed or isinstance(error, EmptiedError):
                raise

    def swap(self, change: Callable[[Head], Head]) -> Head:
        """Change the head, which proves that this process still holds the service.

        An expired lease that nobody has taken is renewed: the swap decides, not the clock.

        Raises:
            FencedError: another process holds the service, or the store was emptied.
            StoreUnreachableError: the outcome is unknown: the change may have happened. Calling again is safe.
            StoreError: the store refuses the request.
        """
        problem = StoreUnreachableError("the store did not respond")
        for pause in (*RETRY_SECONDS, 0.0):
            desired = with_beat(change(self.head))
            try:
                if self._try(desired):
                    return self.head
            except StoreUnreachableError as error:
                problem = error
            self.tools.sleep(shortened(pause))
        raise problem

    def _try(self, desired: Head) -> bool:
        """Write the head once; return whether the store has exactly this head now."""
        data, objects = encode(desired), self.tools.objects
        # A try without a response may have written a head with the same bytes: then the time of that try counts.
        sent = self._open.setdefault(data, self.tools.clock())
        unclear: StoreUnreachableError | None = None
        try:
            etag = objects.put_if(self.keys.head, data, self._etag)
        except StoreUnreachableError as error:
            etag, unclear = None, error
        if etag is not None:
            return self._adopt(desired, etag, sent)
        found = objects.get(self.keys.head)
        if found is not None and found.data in self._open:
            # The write was refused or got no response, but the head is there: this request or an earlier one wrote it.
            return self._adopt(self._read(found), found.etag, self._open[found.data]) and found.data == data
        self._check_mine(found)
        if unclear is not None:
            raise unclear
        return False

    def _adopt(self, head: Head, etag: str, sent: float) -> bool:
        self.head, self._etag, self._sent = head, etag, sent
        self._open.clear()
        return True

    def _check_mine(self, found: Stored | None) -> None:
        """Check that the head is still this holder's, and that it is what this holder wrote last."""
        if found is None:
            raise EmptiedError(f"the store was emptied: {self.keys.head} is gone")
        head = self._read(found)
        if not head.held_by(self.nonce):
            by = f"{head.lease} locked the service" if head.lease else "another process locked the service"
            raise FencedError(f"this task is superseded: {by} (epoch {head.epoch}, this one has {self.head.epoch})")
        # The nonce matches but the content does not: somebody edited the object or restored an old copy.
        if found.etag != self._etag:
            raise DamagedError(f"{self.keys.head} was changed by a program that does not follow the protocol")

    def _read(self, found: Stored) -> Head:
        return decode(found.data, self.keys.head)


def grace_of(lease: Lease) -> float:
    """Return how long others wait after a lease has expired; shorter only for leases too short for dtk.yaml."""
    return min(GRACE_SECONDS, lease.seconds / 2)


def is_held(head: Head, age: float) -> bool:
    """Return whether a lease still counts ``age`` seconds (by the store's clock) after its head was written."""
    return head.lease is not None and age <= head.lease.seconds + grace_of(head.lease)


def take_up(tools: Tools, service: str, nonce: str) -> HeldLease:
    """Continue a lease in another process, by its nonce; write the first heartbeat at once.

    Raises:
        FencedError: another process holds the service.
        StoreError: the store is unreachable or refuses the request.
    """
    sent, key = tools.clock(), ServiceKeys(service).head
    found = get_patiently(tools.objects, key, sleep=tools.sleep)
    head = decode(found.data, key) if found else None
    if found is None or head is None or not head.held_by(nonce):
        raise FencedError(f"another process locked service '{service}' before this task began")
    held = HeldLease(tools, service, head, found.etag, sent - found.age)
    # The age from the store is an estimate; a write of this process gives an exact time before the worker relies on it.
    held.beat()
    return held


def acquire(tools: Tools, request: LeaseRequest, *, wait: float = 0.0) -> HeldLease:
    """Acquire the lease on a service, now or as soon as its holder releases it or its lease expires.

    Args:
        tools: the store and the holder's clock.
        request: the service and the new holder.
        wait: how long to wait for another holder, in seconds.

    Raises:
        HeldError: another process holds the service for longer than that.
        StoreError: the store has a different service with this name, is unreachable, or refuses the request.
    """
    deadline, key = tools.clock() + wait, ServiceKeys(request.service).head
    first_sent: float | None = None
    for _ in range(_CONFLICTS):
        found = _awaited(tools, request, deadline)
        head = decode(found.data, key) if found else None
        if found and head and head.held_by(request.holder.nonce):
            return HeldLease(tools, request.service, head, found.etag, first_sent or tools.clock() - found.age)
        desired, sent = _taken(head, request), tools.clock()
        first_sent = sent if first_sent is None else first_sent
        try:
            etag = _written(tools.objects, key, desired, found)
        except StoreUnreachableError:
            etag = None
        if etag is not None:
            held = HeldLease(tools, request.service, desired, etag, sent)
            held.previous = head.lease if head else None
            return held
        tools.sleep(shortened(RETRY_SECONDS[0]))
    raise StoreUnreachableError("the store accepts no writes, or too many processes are trying to lock the service")


def _awaited(tools: Tools, request: LeaseRequest, deadline: float) -> Stored | None:
    """Return the head as soon as the service is free or held with this request's own nonce."""
    key = ServiceKeys(request.service).head
    while True:
        found = get_patiently(tools.objects, key, sleep=tools.sleep)
        if found is None:
            return None
        head = decode(found.data, key)
        if not is_held(head, found.age) or head.held_by(request.holder.nonce):
            return found
        if tools.clock() >= deadline:
            raise _held(request.service, head, found.age)
        tools.sleep(min(POLL_SECONDS, max(deadline - tools.clock(), 0.1)))


def _taken(head: Head | None, request: LeaseRequest) -> Head:
    if head is None:
        return Head(request.lineage, lease=request.holder)
    if head.destroyed:
        # A new service with the same name: continue the task numbers, because the logs of the old service stay.
        return Head(request.lineage, epoch=head.epoch + 1, last_task=head.last_task, lease=request.holder)
    if head.lineage != request.lineage:
        raise StoreError(
            f"the store has another service called '{request.service}' (id {head.lineage}, this one has"
            f" {request.lineage})",
            hint="restore the other service's service.yaml from git, or stage this service under another name",
        )
    return replace(head, epoch=head.epoch + 1, lease=request.holder)


def _written(objects: Objects, key: str, head: Head, found: Stored | None) -> str | None:
    if found is None:
        return objects.put_new(key, encode(head))
    return objects.put_if(key, encode(head), found.etag)


def _held(service: str, head: Head, age: float) -> HeldError:
    lease = head.lease
    left = max(lease.seconds + grace_of(lease) - age, 0.0) if lease else 0.0
    return HeldError(
        f"service '{service}' is locked by {lease}; its last heartbeat was {age:.0f} s ago",
        hint=f"wait with --lock-wait 5m; if its process has ended, the lock expires in {left:.0f} s",
    )

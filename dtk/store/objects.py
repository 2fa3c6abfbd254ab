"""What the protocol needs of a store: objects by key, with writes that happen only on a condition."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from dtk.store.errors import StoreError, StoreUnreachableError

Sleep = Callable[[float], object]
T = TypeVar("T")

RETRY_SECONDS = (1.0, 2.0, 4.0)
"""Pauses before a request without a clear answer is made again, each shortened by chance: two processes drift apart."""


@dataclass(frozen=True)
class Stored:
    """An object as it was read: ``etag`` changes with its content, ``age`` is seconds by the store's own clock."""

    data: bytes
    etag: str
    age: float


class Objects(Protocol):
    """A store of objects; each method is one request.

    It raises ``StoreUnreachableError`` where the outcome is not known, ``StoreError`` for what is refused for good.
    """

    def get(self, key: str) -> Stored | None:
        """Return an object, None where there is none."""

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, None when it exists."""

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, None when it changed or is gone."""

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that begin with ``prefix`` and come after a key, sorted."""

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names right below ``prefix`` (which ends with /) under which there are objects, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""


def shortened(seconds: float) -> float:
    """Return a pause between half of ``seconds`` and all of it."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spreads requests, guards nothing


def put_once(objects: Objects, key: str, data: bytes, *, sleep: Sleep = time.sleep) -> bool:
    """Write an immutable object, however often the answer is lost on the way.

    Returns:
        Whether the object has this content now; False means that somebody else wrote another one there.

    Raises:
        StoreUnreachableError: the store gave an ambiguous response several times; calling again is safe.
        StoreError: the store refuses.
    """
    problem = StoreUnreachableError(f"the store did not take {key}")
    for pause in (*RETRY_SECONDS, 0.0):
        try:
            if objects.put_new(key, data) is not None:
                return True
            # Refused because it exists: that may be this very write, whose answer was lost.
            found = objects.get(key)
            if found is not None:
                return found.data == data
        except StoreUnreachableError as error:
            problem = error
        sleep(shortened(pause))
    raise problem


class Patient:
    """A store that is asked again where a read got no answer; writes are made once, their outcome is read first."""

    def __init__(self, objects: Objects, pauses: Sequence[float] = RETRY_SECONDS, sleep: Sleep = time.sleep) -> None:
        self._objects = objects
        self._pauses = pauses
        self._sleep = sleep

    def get(self, key: str) -> Stored | None:
        """Return an object, None where there is none."""
        return self._read(lambda: self._objects.get(key))

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, None when it exists."""
        return self._objects.put_new(key, data)

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, None when it changed or is gone."""
        return self._objects.put_if(key, data, etag)

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that begin with ``prefix`` and come after a key, sorted."""
        return self._read(lambda: self._objects.list(prefix, after))

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names right below ``prefix`` (which ends with /) under which there are objects, sorted."""
        return self._read(lambda: self._objects.names(prefix))

    def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is no error."""
        self._read(lambda: self._objects.delete(key))

    def _read(self, ask: Callable[[], T]) -> T:
        for pause in self._pauses:
            with suppress(StoreUnreachableError):
                return ask()
            self._sleep(shortened(pause))
        return ask()


def get_patiently(objects: Objects, key: str, *, sleep: Sleep = time.sleep) -> Stored | None:
    """Return an object, asking again when there is no answer.

    Raises:
        StoreUnreachableError: there was none several times.
        StoreError: the store refuses.
    """
    return Patient(objects, sleep=sleep).get(key)


def check_conditions(objects: Objects, prefix: str) -> None:
    """Refuse a store that ignores the conditions of writes: there two writers could both commit.

    Raises:
        StoreError: it does, or the objects of the probe can't be written.
        StoreUnreachableError: no clear answer came several times.
    """
    for pause in RETRY_SECONDS:
        with suppress(StoreUnreachableError):
            return _probe(objects, prefix)
        time.sleep(shortened(pause))
    return _probe(objects, prefix)


def _probe(objects: Objects, prefix: str) -> None:
    key = f"{prefix}probe-{uuid.uuid4()}"
    try:
        first = objects.put_new(key, b"1")
        second = objects.put_new(key, b"2")
        # An etag that no object has: a store that writes anyway looks at no condition.
        stale = objects.put_if(key, b"3", '"0123456789abcdef0123456789abcdef"')
    finally:
        objects.delete(key)
    if first is None:
        raise StoreUnreachableError(f"the store reports that a new object already exists ({key})")
    if second is not None or stale is not None:
        raise StoreError(
            "this store ignores the conditions of writes (If-None-Match, If-Match), so two writers could both commit",
            hint="use Amazon S3, a store that has conditional writes, or a shared folder (store: {type: folder})",
        )

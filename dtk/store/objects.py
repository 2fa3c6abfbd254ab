"""The interface of a store: objects by key, with conditional writes."""

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
"""Pauses in seconds before an ambiguous request is retried; shortened randomly so that processes drift apart."""


@dataclass(frozen=True)
class Stored:
    """An object as read: ``etag`` changes with its content, ``age`` is in seconds by the store's own clock."""

    data: bytes
    etag: str
    age: float


class Objects(Protocol):
    """A store of objects; each method makes one request.

    Methods raise ``StoreUnreachableError`` if the outcome is unknown, ``StoreError`` if a request is refused for good.
    """

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, or None if it exists."""

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, or None if it changed or is gone."""

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that start with ``prefix`` and sort after ``after``, sorted."""

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names directly below ``prefix`` (which ends with /) that contain objects, sorted."""

    def delete(self, key: str) -> None:
        """Remove an object; do nothing if it does not exist."""


def shortened(seconds: float) -> float:
    """Return a random pause between half of ``seconds`` and all of it."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  # spreads requests; not for security


def put_once(objects: Objects, key: str, data: bytes, *, sleep: Sleep = time.sleep) -> bool:
    """Write an immutable object; retry safely when responses are lost.

    Returns:
        True if the object has this content now; False if somebody else wrote different content there.

    Raises:
        StoreUnreachableError: the outcome is unknown after several tries; calling again is safe.
        StoreError: the store refuses the request.
    """
    problem = StoreUnreachableError(f"the store did not confirm the write of {key}")
    for pause in (*RETRY_SECONDS, 0.0):
        try:
            if objects.put_new(key, data) is not None:
                return True
            # The object exists, perhaps from this very write with a lost response: compare its content.
            found = objects.get(key)
            if found is not None:
                return found.data == data
        except StoreUnreachableError as error:
            problem = error
        sleep(shortened(pause))
    raise problem


class Patient:
    """A store that retries reads without a response; writes are sent once, because their outcome must be read first."""

    def __init__(self, objects: Objects, pauses: Sequence[float] = RETRY_SECONDS, sleep: Sleep = time.sleep) -> None:
        self._objects = objects
        self._pauses = pauses
        self._sleep = sleep

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        return self._read(lambda: self._objects.get(key))

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, or None if it exists."""
        return self._objects.put_new(key, data)

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, or None if it changed or is gone."""
        return self._objects.put_if(key, data, etag)

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that start with ``prefix`` and sort after ``after``, sorted."""
        return self._read(lambda: self._objects.list(prefix, after))

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names directly below ``prefix`` (which ends with /) that contain objects, sorted."""
        return self._read(lambda: self._objects.names(prefix))

    def delete(self, key: str) -> None:
        """Remove an object; do nothing if it does not exist."""
        self._read(lambda: self._objects.delete(key))

    def _read(self, ask: Callable[[], T]) -> T:
        for pause in self._pauses:
            with suppress(StoreUnreachableError):
                return ask()
            self._sleep(shortened(pause))
        return ask()


def get_patiently(objects: Objects, key: str, *, sleep: Sleep = time.sleep) -> Stored | None:
    """Return an object, or None if it does not exist; retry when there is no response.

    Raises:
        StoreUnreachableError: there was no response several times.
        StoreError: the store refuses the request.
    """
    return Patient(objects, sleep=sleep).get(key)


def check_conditions(objects: Objects, prefix: str) -> None:
    """Refuse a store that ignores conditional writes: two writers could both commit.

    Raises:
        StoreError: the store ignores them, or the probe object cannot be written.
        StoreUnreachableError: the response was ambiguous several times.
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
        # No object has this etag: a store that writes anyway ignores conditions.
        stale = objects.put_if(key, b"3", '"0123456789abcdef0123456789abcdef"')
    finally:
        objects.delete(key)
    if first is None:
        raise StoreUnreachableError(f"the store reports that a new object already exists ({key})")
    if second is not None or stale is not None:
        raise StoreError(
            "this store ignores the conditions of writes (If-None-Match, If-Match), so two writers could both commit",
            hint="use Amazon S3, a store that supports conditional writes, or a shared folder (store: {type: folder})",
        )
